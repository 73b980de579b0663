use std::future::{Future, poll_fn};
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs `future` to its end on a new multi-threaded runtime, one thread a core: a whole `main`, without a dependency
/// on tokio. Tasks that still run when the future ends are dropped.
///
/// ```
/// # async fn serve() -> iip_rpc::Result<()> { Ok(()) }
/// fn main() -> iip_rpc::Result<()> {
///     iip_rpc::run(async {
///         // Bind a server, or connect a channel.
///         serve().await
///     })
/// }
/// ```
///
/// # Panics
///
/// The operating system gives no threads or no event queue, or this is called from inside a runtime.
pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("the runtime cannot start: {error}"))
        .block_on(future)
}

/// Ready when the process is asked to stop: by SIGTERM, as service managers do, or by SIGINT, as Ctrl-C does. From this
/// call on, which is made inside a runtime, neither signal ends the process by itself any more. Called outside of one, it
/// is so from the first poll on.
///
/// ```no_run
/// # async fn serve(server: iip_rpc::Server) -> std::io::Result<()> {
/// let grace = std::time::Duration::from_secs(30);
/// server.serve_with_shutdown(iip_rpc::shutdown_signal(), grace).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping the future loses a signal that comes before it is called again.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let inside = tokio::runtime::Handle::try_current().is_ok();
    let mut listening = inside.then(listen);
    poll_fn(move |context| {
        let signals = listening.get_or_insert_with(listen);
        let came = signals
            .iter_mut()
            .any(|signal| signal.poll_recv(context).is_ready());
        match came {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
}

/// A signal that cannot be listened to never comes; the other one still does.
fn listen() -> Vec<Signal> {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
    kinds.into_iter().flat_map(signal).collect()
}

/// Includes the code that iip-codegen generated for a protobuf package in `build.rs`.
///
/// ```text
/// pub mod helloworld {
///     iip_rpc::include_proto!("helloworld");
/// }
/// ```
#[macro_export]
macro_rules! include_proto {
    ($package:tt) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
    };
}
