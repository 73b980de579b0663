//! What server and client share of a method: its descriptor, and how its types are written.

use prost_types::method_options::IdempotencyLevel;

use crate::model::{self, Service};

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

    /// The comment, or what the method does by its nature: `verb` its path.
    pub(crate) fn docs(&self, verb: &str) -> String {
        if self.docs.is_empty() {
            format!("/// {verb} `{}`.\n", self.model.path)
        } else {
            self.docs.clone()
        }
    }

    /// `Result<Response<..>, Status>`
    pub(crate) fn result(&self) -> String {
        format!(
            "::core::result::Result<::iip_rpc::codegen::Response<{}>, ::iip_rpc::codegen::Status>",
            self.response
        )
    }
}

/// The module of the descriptors, which client and server share.
pub(crate) fn descriptors(service: &Service, methods: &[Method<'_>]) -> String {
    let mut code = String::new();
    for method in methods {
        let idempotency = match method.model.idempotency {
            IdempotencyLevel::IdempotencyUnknown => "Unknown",
            IdempotencyLevel::NoSideEffects => "NoSideEffects",
            IdempotencyLevel::Idempotent => "Idempotent",
        };
        code.push_str(&format!(
            "pub(super) static {constant}: ::iip_rpc::codegen::MethodDescriptor =
                ::iip_rpc::codegen::MethodDescriptor::new(
                    {path:?},
                    ::iip_rpc::codegen::MethodKind::Unary,
                    ::iip_rpc::codegen::Idempotency::{idempotency},
                );\n",
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
