//! Names that are keywords, or that the client or the prelude has as well, are called like any other.

use iip_rpc::{Request, Response, Status};
use iip_tests::fixtures::keywords::r#type::r#match::r#async as keywords;
use iip_tests::fixtures::prelude_names::prelude;
use iip_tests::fixtures::renamed::renamed;
use iip_tests::fixtures::reserved_names::reserved;
use iip_tests::fixtures::stream_names::stream::names as streams;

type Answer<T> = Result<Response<T>, Status>;

struct Echo;

/// Implements a trait whose methods all answer with what they got, or with nothing.
macro_rules! echo {
    ($($service:path: $($method:ident($request:ty) -> $response:ty),*;)*) => {
        $(impl $service for Echo {
            $(async fn $method(&self, _request: Request<$request>) -> Answer<$response> {
                Ok(Response::new(Default::default()))
            })*
        })*
    };
}

echo! {
    keywords::Impl:
        r#match(keywords::Struct) -> keywords::Enum,
        self_(keywords::Self_) -> keywords::Super,
        crate_(keywords::Crate) -> keywords::Enum,
        r#async(keywords::Struct) -> keywords::Struct,
        r#await(keywords::r#struct::Type) -> keywords::Struct,
        r#gen(keywords::Struct) -> keywords::Struct,
        r#box(keywords::Struct) -> keywords::Struct,
        r#try(keywords::Struct) -> keywords::Struct;
    keywords::Trait:
        r#fn(keywords::Struct) -> keywords::Struct;
    prelude::Iterator:
        next(prelude::Result) -> prelude::Option,
        into_iter(prelude::Result) -> prelude::Option;
}

impl reserved::Names for Echo {
    async fn new_(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("new", request)
    }
    async fn connect_(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("connect", request)
    }
    async fn clone_(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("clone", request)
    }
    async fn from_word(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("from", request)
    }
    async fn into_word(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("into", request)
    }
    async fn is_word(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("is", request)
    }
    async fn to_word(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("to", request)
    }
    async fn as_word(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("as", request)
    }
    async fn service(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("service", request)
    }
    async fn request(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("request", request)
    }
    async fn methods(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("methods", request)
    }
    async fn call(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("call", request)
    }
    async fn default(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("default", request)
    }
    async fn fmt(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("fmt", request)
    }
    async fn add(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("add", request)
    }
    async fn len(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("len", request)
    }
    async fn from_arc(&self, request: Request<reserved::Word>) -> Answer<reserved::Word> {
        said("from_arc", request)
    }
}

fn said(method: &str, request: Request<reserved::Word>) -> Answer<reserved::Word> {
    let word = format!("{method} {}", request.get_ref().word);
    Ok(Response::new(reserved::Word { word }))
}

impl renamed::Greeting for Echo {
    async fn get_name(
        &self,
        _request: Request<renamed::GreeterClient>,
    ) -> Answer<renamed::GreeterServer> {
        let name = "first".to_owned();
        Ok(Response::new(renamed::GreeterServer { name }))
    }
    async fn get_name_again(
        &self,
        _request: Request<renamed::GreeterClient>,
    ) -> Answer<renamed::GreeterServer> {
        let name = "second".to_owned();
        Ok(Response::new(renamed::GreeterServer { name }))
    }
}

#[test]
fn keywords_are_called() {
    iip_rpc::run(async {
        let client = keywords::ImplClient::new(keywords::ImplServer::new(Echo));
        client
            .r#match(keywords::Struct::default())
            .await
            .expect("an answer");
        client.self_(keywords::Self_ {}).await.expect("an answer");
        client
            .r#await(keywords::r#struct::Type {})
            .await
            .expect("an answer");
        let client = keywords::TraitClient::new(keywords::TraitServer::new(Echo));
        client
            .r#fn(keywords::Struct::default())
            .await
            .expect("an answer");
    });
}

#[test]
fn names_of_the_prelude_are_called() {
    iip_rpc::run(async {
        let client = prelude::IteratorClient::new(prelude::IteratorServer::new(Echo));
        client
            .next(prelude::Result::default())
            .await
            .expect("an answer");
        client
            .into_iter(prelude::Result::default())
            .await
            .expect("an answer");
    });
}

#[test]
fn functions_of_the_client_stay_beside_methods_of_their_name() {
    iip_rpc::run(async {
        let client = reserved::NamesClient::new(reserved::NamesServer::new(Echo)).clone();
        let word = || reserved::Word {
            word: "word".to_owned(),
        };
        let heard = [
            client.new_(word()).await,
            client.connect_(word()).await,
            client.clone_(word()).await,
            client.call(word()).await,
            client.methods(word()).await,
        ]
        .map(|answer| answer.expect("an answer").into_inner().word);
        assert_eq!(
            heard,
            [
                "new word",
                "connect word",
                "clone word",
                "call word",
                "methods word"
            ]
        );
    });
}

#[test]
fn renamed_methods_keep_their_path() {
    iip_rpc::run(async {
        let client = renamed::GreetingClient::new(renamed::GreetingServer::new(Echo));
        let request = renamed::GreeterClient::default;
        let first = client.get_name(request()).await.expect("an answer");
        let second = client.get_name_again(request()).await.expect("an answer");
        assert_eq!(first.into_inner().name, "first");
        assert_eq!(second.into_inner().name, "second");
    });
}

#[test]
fn names_of_what_streams_are_made_of_are_called() {
    iip_rpc::run(async {
        let mock = streams::MockStreams::new()
            .on_finish(|request| async move {
                let mut senders = request.into_inner();
                while senders.message().await?.is_some() {}
                Ok(Response::new(streams::Reply::default()))
            })
            .on_connect_(|_, out| async move { out.send(streams::S {}).await })
            .on_on(|_, _| async { Err(Status::not_found("on")) });
        let client = streams::StreamsClient::new(mock);
        let (out, reply) = client.finish(()).await.expect("a call");
        let sender = streams::Sender::default();
        out.send(sender).await.expect("a listener");
        out.finish().await.expect("a listener");
        assert_eq!(reply.await.expect("a reply").get_ref().sender, None);
        let stream = client.connect_(streams::T {}).await.expect("a stream");
        let next = stream.into_inner().message().await.expect("no error");
        assert_eq!(next, Some(streams::S {}));
        let status = match client.on(()).await {
            Ok((_out, mut stream)) => stream.message().await.expect_err("not found"),
            Err(status) => status,
        };
        assert_eq!(status.message(), "on");
    });
}
