//! Mocks, which tests of callers give to a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use iip_rpc::{Channel, Code, Response, Server};
use iip_tests::fixtures::mock::mock::{GreeterClient, Greeting, MockGreeter, Name};

fn name(name: &str) -> Name {
    Name {
        name: name.to_owned(),
    }
}

fn greeting(name: &Name) -> Greeting {
    Greeting {
        text: format!("Hello {}!", name.name),
    }
}

/// Answers all but one method.
fn mock() -> MockGreeter {
    MockGreeter::new()
        .on_say_hello(|request| async move { Ok(Response::new(greeting(request.get_ref()))) })
        .on_say_hellos(|request, out| async move {
            out.send(greeting(request.get_ref())).await?;
            out.send(greeting(request.get_ref())).await
        })
        .on_greet_all(|request| async move {
            let mut names = request.into_inner();
            let mut all = Vec::new();
            while let Some(name) = names.message().await? {
                all.push(name.name);
            }
            Ok(Response::new(greeting(&name(&all.join(" and ")))))
        })
        .on_match(|request, out| async move {
            let mut names = request.into_inner();
            while let Some(name) = names.message().await? {
                out.send(greeting(&name)).await?;
            }
            Ok(())
        })
}

async fn call_all<S: iip_rpc::RpcService>(client: GreeterClient<S>) {
    let one = client.say_hello(name("A")).await.expect("a greeting");
    assert_eq!(one.get_ref().text, "Hello A!");
    let mut two = client
        .say_hellos(name("B"))
        .await
        .expect("greetings")
        .into_inner();
    for _ in 0..2 {
        let next = two.message().await.expect("no error").expect("a greeting");
        assert_eq!(next.text, "Hello B!");
    }
    assert_eq!(two.message().await.expect("no error"), None);
    let (names, reply) = client.greet_all(()).await.expect("a call");
    names.send(name("A")).await.expect("a listener");
    names.send(name("B")).await.expect("a listener");
    names.finish().await.expect("a listener");
    let text = reply.await.expect("a greeting").into_inner().text;
    assert_eq!(text, "Hello A and B!");
    let (names, mut greetings) = client.r#match(()).await.expect("a call");
    names.send(name("C")).await.expect("a listener");
    let next = greetings.message().await.expect("no error");
    assert_eq!(next.expect("a greeting").text, "Hello C!");
    names.finish().await.expect("a listener");
    assert_eq!(greetings.message().await.expect("no error"), None);
}

#[test]
fn a_mock_answers_all_kinds() {
    iip_rpc::run(call_all(GreeterClient::new(mock())));
}

#[test]
fn a_mock_is_served_like_any_service() {
    iip_rpc::run(async {
        let server = Server::builder()
            .add_service(mock())
            .bind("memory://mocks")
            .await
            .expect("the name is free");
        iip_rpc::tokio::spawn(server.serve());
        let channel = Channel::connect("memory://mocks")
            .await
            .expect("a connection");
        call_all(GreeterClient::new(channel)).await;
    });
}

#[test]
fn a_method_that_was_told_nothing_says_so() {
    iip_rpc::run(async {
        let client = GreeterClient::new(MockGreeter::default());
        let status = client.say_hello(name("A")).await.expect_err("no answer");
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(
            status.message(),
            "MockGreeter has no answer for /mock.Greeter/SayHello (setting: on_say_hello)"
        );
    });
}

#[test]
fn an_answer_replaces_the_one_before_and_clones_keep_theirs() {
    iip_rpc::run(async {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let first = mock();
        let second = first.clone().on_say_hello(move |_| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            let text = number.to_string();
            async { Ok(Response::new(Greeting { text })) }
        });
        let client = GreeterClient::new(second);
        for number in 0..3 {
            let reply = client.say_hello(name("A")).await.expect("a number");
            assert_eq!(reply.get_ref().text, number.to_string());
        }
        let client = GreeterClient::new(first);
        let reply = client.say_hello(name("A")).await.expect("a greeting");
        assert_eq!(reply.get_ref().text, "Hello A!");
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    });
}
