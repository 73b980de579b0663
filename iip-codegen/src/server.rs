//! The trait that a service is implemented by, and the struct that serves an implementation.

use crate::methods::{Method, service_impls};
use crate::model::{Kind, Part, Service};

/// The trait, with the service's comment.
pub(crate) fn handler_trait(
    service: &Service,
    docs: &str,
    methods: &[Method<'_>],
    default_stubs: bool,
) -> String {
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
        {left_out}#[allow(dead_code)]
        {attributes}pub trait {name}: ::core::marker::Send + ::core::marker::Sync + 'static {{\n",
        name = service.name,
        server = service.server(),
        left_out = if default_stubs {
            "/// Methods that an implementation leaves out answer `UNIMPLEMENTED`.\n"
        } else {
            ""
        },
        attributes = service.attributes(Part::Trait),
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
            ) -> impl ::core::future::Future<Output = {outcome}> + ::core::marker::Send{body}\n",
            name = method.model.name,
            outcome = method.outcome(),
            body = if default_stubs {
                stub(method)
            } else {
                ";".to_owned()
            },
        ));
    }
    code.push_str("}\n");
    code
}

/// The body of a method that answers `UNIMPLEMENTED`.
fn stub(method: &Method<'_>) -> String {
    let names: Vec<&str> = method.arguments().iter().map(|(name, _)| *name).collect();
    let text = format!("the method {} is not implemented", method.model.path);
    format!(
        "{{
            let _ = ({names},);
            {ready}
        }}",
        names = names.join(", "),
        ready = method.unimplemented(&text),
    )
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
        {attributes}pub struct {name} {{
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
        {impls}",
        attributes = service.attributes(Part::Server),
        impls = service_impls(&name, full_name),
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
