//! The trait that a service is implemented by, and the struct that serves an implementation.

use crate::methods::Method;
use crate::model::{Kind, Service};

/// The trait, with the service's comment.
pub(crate) fn handler_trait(service: &Service, docs: &str, methods: &[Method<'_>]) -> String {
    let mut code = docs.to_owned();
    if docs.is_empty() {
        code.push_str(&format!(
            "/// What a server of `{}` does.\n",
            service.full_name
        ));
    }
    code.push_str(&format!(
        "///
        /// Implementations write each method as `async fn`. [`{server}`] serves one.
        #[allow(dead_code)]
        pub trait {name}: ::core::marker::Send + ::core::marker::Sync + 'static {{\n",
        name = service.name,
        server = service.server(),
    ));
    for method in methods {
        code.push_str(&method.docs("Answers calls of", note(method.model.kind)));
        code.push_str(method.model.lints());
        let arguments: String = method
            .arguments()
            .iter()
            .map(|(name, argument)| format!("{name}: {argument},"))
            .collect();
        code.push_str(&format!(
            "fn {name}(
                &self,
                {arguments}
            ) -> impl ::core::future::Future<Output = {outcome}> + ::core::marker::Send;\n",
            name = method.model.name,
            outcome = method.outcome(),
        ));
    }
    code.push_str("}\n");
    code
}

/// The struct that serves an implementation of the trait.
pub(crate) fn server(service: &Service, methods: &[Method<'_>]) -> String {
    let name = service.server();
    let handler = &service.name;
    let param = &service.handler;
    let full_name = &service.full_name;
    // A service without methods has nobody to hand the implementation to.
    let argument = if methods.is_empty() {
        "_service"
    } else {
        "service"
    };
    let routes: String = methods
        .iter()
        .map(|method| route(service, method))
        .collect();
    format!(
        "/// Serves an implementation of [`{handler}`](trait@{handler}).
        ///
        /// It is cheap to clone: clones share the implementation. Given to a client in place of a channel
        /// it answers calls in the same process, without a network.
        #[allow(dead_code)]
        #[derive(Clone, Debug)]
        pub struct {name} {{
            methods: ::iip_rpc::codegen::Methods,
        }}
        #[allow(dead_code)]
        impl {name} {{
            /// Serves the implementation.
            pub fn new<{param}: {handler}>(service: {param}) -> Self {{
                Self::from_arc(::std::sync::Arc::new(service))
            }}
            /// Serves an implementation that others share.
            pub fn from_arc<{param}: {handler}>({argument}: ::std::sync::Arc<{param}>) -> Self {{
                let methods = ::iip_rpc::codegen::Methods::builder({full_name:?}){routes}.build();
                Self {{ methods }}
            }}
        }}
        impl ::iip_rpc::codegen::NamedService for {name} {{
            const NAME: &'static str = {full_name:?};
            fn methods(&self) -> &::iip_rpc::codegen::Methods {{
                &self.methods
            }}
        }}
        impl ::iip_rpc::codegen::RpcService for {name} {{
            fn call(
                &self,
                request: ::iip_rpc::codegen::Request<::iip_rpc::codegen::Body>,
            ) -> impl ::core::future::Future<
                Output = ::core::result::Result<
                    ::iip_rpc::codegen::Response<::iip_rpc::codegen::Body>,
                    ::iip_rpc::codegen::Status,
                >,
            > + ::core::marker::Send {{
                ::iip_rpc::codegen::RpcService::call(&self.methods, request)
            }}
        }}\n"
    )
}

/// What an implementation has to know of a method whose response is a stream.
fn note(kind: Kind) -> &'static str {
    match kind {
        Kind::Unary | Kind::ClientStreaming => "",
        Kind::ServerStreaming | Kind::Bidirectional => {
            "The messages of the response go to `out`; it ends when the method returns."
        }
    }
}

/// The part of the chain that adds one method.
fn route(service: &Service, method: &Method<'_>) -> String {
    let arguments = method.arguments();
    let names: String = arguments
        .iter()
        .map(|(name, _)| format!("{name},"))
        .collect();
    let typed: String = arguments
        .iter()
        .map(|(name, argument)| format!("{name}: {argument},"))
        .collect();
    format!(
        ".{function}(&{descriptors}::{constant}, {{
            let service = ::std::sync::Arc::clone(&service);
            move |{typed}| {{
                let service = ::std::sync::Arc::clone(&service);
                async move {{ <{param} as {handler}>::{name}(&service, {names}).await }}
            }}
        }})",
        function = method.function(),
        descriptors = service.descriptors(),
        constant = method.model.constant,
        param = service.handler,
        handler = service.name,
        name = method.model.name,
    )
}
