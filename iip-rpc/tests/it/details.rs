//! Typed details of a status over a connection.

use std::time::Duration;

use iip_rpc::details::{ErrorInfo, RetryInfo};
use iip_rpc::{Request, Response, Status};

use crate::greeter::{Greeter, GreeterClient, HelloReply, HelloRequest, hello};
use crate::native::serve;

struct Busy;

impl Greeter for Busy {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Err(Status::resource_exhausted("too busy")
            .with_detail(&RetryInfo::after(Duration::from_secs(3)))
            .with_detail(&ErrorInfo::new("BUSY", "example.com")))
    }
}

#[tokio::test]
async fn details_travel() {
    let client = GreeterClient::connect(serve(Busy).await).await.unwrap();
    let status = client.say_hello(hello("you")).await.unwrap_err();
    let retry: RetryInfo = status.details().find().unwrap();
    assert_eq!(retry.delay(), Some(Duration::from_secs(3)));
    let info: ErrorInfo = status.details().find().unwrap();
    assert_eq!((&*info.reason, &*info.domain), ("BUSY", "example.com"));
}
