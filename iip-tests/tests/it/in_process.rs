//! A server used directly as a client's service, without a network.

use std::sync::Arc;

use iip_rpc::{Code, Request, Response, Status};
use iip_tests::helloworld::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest};

struct Polite;

impl Greeter for Polite {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = &request.get_ref().name;
        if name.is_empty() {
            return Err(Status::new(Code::InvalidArgument, "nobody to greet"));
        }
        let message = format!("Hello {name}!");
        Ok(Response::new(HelloReply { message }))
    }
}

fn named(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
    }
}

#[test]
fn a_call_is_answered() {
    iip_rpc::run(async {
        let client = GreeterClient::new(GreeterServer::new(Polite));
        let reply = client.say_hello(named("you")).await.expect("a greeting");
        assert_eq!(reply.get_ref().message, "Hello you!");
        let reply = client
            .say_hello(Request::new(named("me")))
            .await
            .expect("a greeting");
        assert_eq!(reply.into_inner().message, "Hello me!");
    });
}

#[test]
fn an_error_of_the_handler_reaches_the_caller() {
    iip_rpc::run(async {
        let client = GreeterClient::new(GreeterServer::from_arc(Arc::new(Polite)));
        let status = client.say_hello(named("")).await.expect_err("an error");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "nobody to greet");
    });
}

#[test]
fn calls_can_be_spawned_by_many_callers_of_one_client() {
    iip_rpc::run(async {
        let client = GreeterClient::new(GreeterServer::new(Polite));
        let calls: Vec<_> = (0..100)
            .map(|number| {
                let client = client.clone();
                let name = number.to_string();
                let call = async move { client.say_hello(HelloRequest { name }).await };
                iip_rpc::tokio::spawn(call)
            })
            .collect();
        for (number, call) in calls.into_iter().enumerate() {
            let reply = call.await.expect("the task ends").expect("a greeting");
            assert_eq!(reply.get_ref().message, format!("Hello {number}!"));
        }
    });
}
