//! Well-known types and types of other crates as requests and responses.

use iip_rpc::prost_types::{Any, Duration, Timestamp};
use iip_rpc::{Request, Response, Sender, Status, Streaming};
use iip_tests::elsewhere::{Stamp, common};
use iip_tests::fixtures::extern_paths::shop;
use iip_tests::fixtures::well_known_types::wkt;

struct Wall;

impl wkt::Clock for Wall {
    async fn now(&self, _request: Request<()>) -> Result<Response<Timestamp>, Status> {
        Ok(Response::new(Timestamp {
            seconds: 1,
            nanos: 2,
        }))
    }
    async fn sleep(&self, _request: Request<Duration>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }
    async fn name(&self, request: Request<String>) -> Result<Response<Vec<u8>>, Status> {
        Ok(Response::new(request.into_inner().into_bytes()))
    }
    async fn describe(&self, _request: Request<wkt::Everything>) -> Result<Response<Any>, Status> {
        Ok(Response::new(Any::default()))
    }
}

struct Counter;

impl shop::Shop for Counter {
    async fn order(&self, request: Request<common::Id>) -> Result<Response<shop::Receipt>, Status> {
        Ok(Response::new(shop::Receipt {
            id: Some(request.into_inner()),
            stamp: Some(Stamp {
                ink: "red".to_owned(),
            }),
            level: common::Level::High.into(),
        }))
    }
    async fn cancel(
        &self,
        request: Request<shop::Receipt>,
    ) -> Result<Response<common::nested::Reason>, Status> {
        let text = request.into_inner().stamp.unwrap_or_default().ink;
        Ok(Response::new(common::nested::Reason { text }))
    }
    async fn track(
        &self,
        request: Request<Streaming<Timestamp>>,
        out: Sender<common::Id>,
    ) -> Result<(), Status> {
        let mut moments = request.into_inner();
        while let Some(moment) = moments.message().await? {
            let value = moment.seconds.to_string();
            out.send(common::Id { value }).await?;
        }
        Ok(())
    }
}

#[test]
fn empty_and_wrappers_are_plain_types() {
    iip_rpc::run(async {
        let client = wkt::ClockClient::new(wkt::ClockServer::new(Wall));
        let now = client.now(()).await.expect("the time");
        assert_eq!(now.get_ref().nanos, 2);
        client.sleep(Duration::default()).await.expect("an answer");
        let name = client.name("clock".to_owned()).await.expect("a name");
        assert_eq!(name.into_inner(), b"clock");
    });
}

#[test]
fn types_of_elsewhere_are_used() {
    iip_rpc::run(async {
        let client = shop::ShopClient::new(shop::ShopServer::new(Counter));
        let value = "id".to_owned();
        let receipt = client
            .order(common::Id { value })
            .await
            .expect("a receipt")
            .into_inner();
        assert_eq!(receipt.level(), common::Level::High);
        let reason = client.cancel(receipt).await.expect("a reason");
        assert_eq!(reason.get_ref().text, "red");
        let (moments, mut places) = client.track(()).await.expect("a call");
        let seconds = 5;
        let moment = Timestamp { seconds, nanos: 0 };
        moments.send(moment).await.expect("a listener");
        let place = places.message().await.expect("no error");
        assert_eq!(place.expect("a place").value, "5");
    });
}
