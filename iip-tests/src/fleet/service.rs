use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use iip_rpc::{Request, Response, Server, Status};
use tokio::time::sleep;

use super::proto::{Fleet, FleetServer, Item, Receipt};

/// Notes each call before it does anything else.
struct Noting(Arc<File>);

impl Noting {
    async fn run(&self, item: Item) -> Result<Response<Receipt>, Status> {
        // One write, to the end of the file: what is in it outlives the process, however that ends.
        (&*self.0)
            .write_all(&item.number.to_le_bytes())
            .map_err(|error| Status::internal(format!("the call cannot be noted: {error}")))?;
        if item.work_ms > 0 {
            sleep(Duration::from_millis(item.work_ms.into())).await;
        }
        Ok(Receipt {
            number: item.number,
            payload: item.payload,
        }
        .into())
    }
}

impl Fleet for Noting {
    async fn put(&self, request: Request<Item>) -> Result<Response<Receipt>, Status> {
        self.run(request.into_inner()).await
    }

    async fn add(&self, request: Request<Item>) -> Result<Response<Receipt>, Status> {
        self.run(request.into_inner()).await
    }
}

/// The server of one process: prints a line when it listens on `address`, appends the number of each call that runs to
/// the file `notes`, and ends when its standard input does, so that it outlives nobody.
///
/// # Errors
///
/// It cannot listen, or the file cannot be opened.
pub async fn serve(address: &str, notes: &str) -> io::Result<()> {
    let notes = OpenOptions::new().append(true).create(true).open(notes)?;
    let server = Server::builder()
        .add_service(FleetServer::new(Noting(Arc::new(notes))))
        .bind(address)
        .await?;
    writeln!(io::stdout(), "{}", server.local_addr())?;
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    server.serve().await
}
