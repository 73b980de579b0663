//! A service in the shape that the code generator gives it, written by hand.

const _: ::iip_rpc::codegen::V1 = ::iip_rpc::codegen::V1;

#[derive(Clone, PartialEq, ::iip_rpc::codegen::prost::Message)]
#[prost(prost_path = "::iip_rpc::codegen::prost")]
pub struct HelloRequest {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, ::iip_rpc::codegen::prost::Message)]
#[prost(prost_path = "::iip_rpc::codegen::prost")]
pub struct HelloReply {
    #[prost(string, tag = "1")]
    pub message: String,
}

pub mod greeter_methods {
    pub static SAY_HELLO: ::iip_rpc::codegen::MethodDescriptor =
        ::iip_rpc::codegen::MethodDescriptor::new(
            "/helloworld.Greeter/SayHello",
            ::iip_rpc::codegen::MethodKind::Unary,
            ::iip_rpc::codegen::Idempotency::Unknown,
        );
}

pub trait Greeter: ::core::marker::Send + ::core::marker::Sync + 'static {
    fn say_hello(
        &self,
        request: ::iip_rpc::codegen::Request<HelloRequest>,
    ) -> impl ::core::future::Future<
        Output = ::core::result::Result<
            ::iip_rpc::codegen::Response<HelloReply>,
            ::iip_rpc::codegen::Status,
        >,
    > + ::core::marker::Send;
}

#[derive(Clone, Debug)]
pub struct GreeterServer {
    methods: ::iip_rpc::codegen::Methods,
}

impl GreeterServer {
    pub fn new<T: Greeter>(service: T) -> Self {
        Self::from_arc(::std::sync::Arc::new(service))
    }

    pub fn from_arc<T: Greeter>(service: ::std::sync::Arc<T>) -> Self {
        let methods = ::iip_rpc::codegen::Methods::builder("helloworld.Greeter")
            .unary(&greeter_methods::SAY_HELLO, {
                let service = ::std::sync::Arc::clone(&service);
                move |request| {
                    let service = ::std::sync::Arc::clone(&service);
                    async move { service.say_hello(request).await }
                }
            })
            .build();
        Self { methods }
    }
}

impl ::iip_rpc::codegen::NamedService for GreeterServer {
    const NAME: &'static str = "helloworld.Greeter";

    fn methods(&self) -> &::iip_rpc::codegen::Methods {
        &self.methods
    }
}

impl ::iip_rpc::codegen::RpcService for GreeterServer {
    fn call(
        &self,
        request: ::iip_rpc::codegen::Request<::iip_rpc::codegen::Body>,
    ) -> impl ::core::future::Future<
        Output = ::core::result::Result<
            ::iip_rpc::codegen::Response<::iip_rpc::codegen::Body>,
            ::iip_rpc::codegen::Status,
        >,
    > + ::core::marker::Send {
        ::iip_rpc::codegen::RpcService::call(&self.methods, request)
    }
}

#[derive(Clone, Debug)]
pub struct GreeterClient<S = ::iip_rpc::codegen::Channel> {
    service: S,
}

impl GreeterClient<::iip_rpc::codegen::Channel> {
    pub async fn connect(
        target: impl ::core::convert::Into<::iip_rpc::codegen::ChannelBuilder>,
    ) -> ::core::result::Result<Self, ::iip_rpc::codegen::Status> {
        ::core::result::Result::Ok(Self::new(
            ::iip_rpc::codegen::Channel::connect(target).await?,
        ))
    }
}

impl<S: ::iip_rpc::codegen::RpcService> GreeterClient<S> {
    pub fn new(service: S) -> Self {
        Self { service }
    }

    pub async fn say_hello(
        &self,
        request: impl ::iip_rpc::codegen::IntoRequest<HelloRequest>,
    ) -> ::core::result::Result<::iip_rpc::codegen::Response<HelloReply>, ::iip_rpc::codegen::Status>
    {
        ::iip_rpc::codegen::unary(
            &self.service,
            &greeter_methods::SAY_HELLO,
            request.into_request(),
        )
        .await
    }
}

/// What most tests serve: the name decides what happens.
#[derive(Debug, Default)]
pub struct MyGreeter;

impl Greeter for MyGreeter {
    async fn say_hello(
        &self,
        request: iip_rpc::Request<HelloRequest>,
    ) -> Result<iip_rpc::Response<HelloReply>, iip_rpc::Status> {
        match request.get_ref().name.as_str() {
            "nobody" => Err(iip_rpc::Status::not_found("nobody is here")),
            "panic" => panic!("on request"),
            "never" => std::future::pending().await,
            "yield" => {
                iip_rpc::tokio::task::yield_now().await;
                Ok(HelloReply {
                    message: "yielded".to_owned(),
                }
                .into())
            }
            "panic later" => {
                iip_rpc::tokio::task::yield_now().await;
                panic!("on request")
            }
            "metadata" => {
                let value = request.metadata().get("k").unwrap_or("none").to_owned();
                let mut reply = iip_rpc::Response::new(HelloReply {
                    message: value.clone(),
                })
                .with_metadata("head", value.as_str());
                reply.trailers_mut().insert("tail", value)?;
                Ok(reply)
            }
            name => Ok(HelloReply {
                message: format!("Hello {name}!"),
            }
            .into()),
        }
    }
}

/// A request for the greeter.
pub fn hello(name: impl Into<String>) -> HelloRequest {
    HelloRequest { name: name.into() }
}
