//! What server and client share of a method: its descriptor, and how its types are written.

use prost_types::method_options::IdempotencyLevel;

use crate::model::{self, Kind, Service};

/// A method with the Rust types that prost resolved.
pub(crate) struct Method<'a> {
    pub(crate) model: &'a model::Method,
    /// The comment, as lines of documentation; empty if there is none.
    docs: String,
    /// The request's type, as seen from the package's module.
    pub(crate) request: String,
    /// The response's type, likewise.
    pub(crate) response: String,
}

impl<'a> Method<'a> {
    pub(crate) fn new(model: &'a model::Method, prost: &prost_build::Method) -> Self {
        let mut docs = String::new();
        prost.comments.append_with_indent(0, &mut docs);
        Self {
            model,
            docs,
            request: prost.input_type.clone(),
            response: prost.output_type.clone(),
        }
    }

    /// The comment, or what the method does by its nature: `verb` its path. Then the `note`, if it is not empty.
    pub(crate) fn docs(&self, verb: &str, note: &str) -> String {
        let mut docs = if self.docs.is_empty() {
            format!("/// {verb} `{}`.\n", self.model.path)
        } else {
            self.docs.clone()
        };
        if !note.is_empty() {
            docs.push_str("///\n");
        }
        for line in note.lines() {
            docs.push_str(&format!("/// {line}\n"));
        }
        docs
    }

    /// The function of the runtime that calls methods of this kind, and the one that serves them.
    pub(crate) fn function(&self) -> &'static str {
        match self.model.kind {
            Kind::Unary => "unary",
            Kind::ServerStreaming => "server_streaming",
            Kind::ClientStreaming => "client_streaming",
            Kind::Bidirectional => "bidi_streaming",
        }
    }

    /// What a handler is given: the request, and where the response is a stream, a sender for it.
    pub(crate) fn arguments(&self) -> Vec<(&'static str, String)> {
        let message = match self.model.kind {
            Kind::Unary | Kind::ServerStreaming => self.request.clone(),
            Kind::ClientStreaming | Kind::Bidirectional => streaming(&self.request),
        };
        let mut arguments = vec![("request", format!("::iip_rpc::codegen::Request<{message}>"))];
        match self.model.kind {
            Kind::Unary | Kind::ClientStreaming => {}
            Kind::ServerStreaming | Kind::Bidirectional => {
                arguments.push(("out", sender(&self.response)));
            }
        }
        arguments
    }

    /// What a handler ends with.
    pub(crate) fn outcome(&self) -> String {
        match self.model.kind {
            Kind::Unary | Kind::ClientStreaming => result(&response(&self.response)),
            Kind::ServerStreaming | Kind::Bidirectional => result("()"),
        }
    }

    /// A future that ends with `UNIMPLEMENTED` and the text.
    pub(crate) fn unimplemented(&self, text: &str) -> String {
        format!(
            "::core::future::ready(<{outcome}>::Err(
                ::iip_rpc::codegen::Status::unimplemented({text:?}),
            ))",
            outcome = self.outcome(),
        )
    }

    /// The message that a caller begins with.
    pub(crate) fn first(&self) -> &str {
        match self.model.kind {
            Kind::Unary | Kind::ServerStreaming => &self.request,
            Kind::ClientStreaming | Kind::Bidirectional => "()",
        }
    }

    /// What a caller gets.
    pub(crate) fn answer(&self) -> String {
        let sender = sender(&self.request);
        match self.model.kind {
            Kind::Unary => result(&response(&self.response)),
            Kind::ServerStreaming => result(&response(&streaming(&self.response))),
            Kind::ClientStreaming => {
                let reply = format!("::iip_rpc::codegen::Reply<{}>", self.response);
                result(&format!("({sender}, {reply})"))
            }
            Kind::Bidirectional => result(&format!("({sender}, {})", streaming(&self.response))),
        }
    }
}

fn result(value: &str) -> String {
    format!("::core::result::Result<{value}, ::iip_rpc::codegen::Status>")
}

fn response(message: &str) -> String {
    format!("::iip_rpc::codegen::Response<{message}>")
}

fn streaming(message: &str) -> String {
    format!("::iip_rpc::codegen::Streaming<{message}>")
}

fn sender(message: &str) -> String {
    format!("::iip_rpc::codegen::Sender<{message}>")
}

/// The module of the descriptors, which client and server share.
pub(crate) fn descriptors(service: &Service, methods: &[Method<'_>]) -> String {
    let mut code = String::new();
    for method in methods {
        let kind = method.model.kind;
        let idempotency = match method.model.idempotency {
            IdempotencyLevel::IdempotencyUnknown => "Unknown",
            IdempotencyLevel::NoSideEffects => "NoSideEffects",
            IdempotencyLevel::Idempotent => "Idempotent",
        };
        let mut limits = String::new();
        if let Some(bytes) = method.model.max_request {
            limits.push_str(&format!(".max_request({bytes})"));
        }
        if let Some(bytes) = method.model.max_response {
            limits.push_str(&format!(".max_response({bytes})"));
        }
        code.push_str(&format!(
            "pub(super) static {constant}: ::iip_rpc::codegen::MethodDescriptor =
                ::iip_rpc::codegen::MethodDescriptor::new(
                    {path:?},
                    ::iip_rpc::codegen::MethodKind::{kind:?},
                    ::iip_rpc::codegen::Idempotency::{idempotency},
                ){limits};\n",
            constant = method.model.constant,
            path = method.model.path,
        ));
    }
    if code.is_empty() {
        code
    } else {
        format!("mod {} {{ {code} }}\n", service.descriptors())
    }
}

/// What makes a struct with `methods` a service, for servers and for clients in the same process.
pub(crate) fn service_impls(name: &str, full_name: &str) -> String {
    format!(
        "impl ::iip_rpc::codegen::NamedService for {name} {{
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
