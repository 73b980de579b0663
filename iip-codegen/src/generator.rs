//! Writes the code of services where prost writes that of messages.

use std::collections::BTreeSet;

use crate::client;
use crate::ident::full_name;
use crate::methods::{Method, descriptors};
use crate::model::Model;
use crate::server;

/// Ties the generated code to the runtime: a runtime that does not fit has no such name.
const HANDSHAKE: &str = "const _: ::iip_rpc::codegen::V1 = ::iip_rpc::codegen::V1;\n";

/// What prost asks for the code of services.
pub(crate) struct Generator {
    model: Model,
    client: bool,
    server: bool,
    /// Packages that services were generated for.
    packages: BTreeSet<String>,
}

impl Generator {
    pub(crate) fn new(model: Model, client: bool, server: bool) -> Self {
        Self {
            model,
            client,
            server,
            packages: BTreeSet::new(),
        }
    }
}

impl prost_build::ServiceGenerator for Generator {
    fn generate(&mut self, prost: prost_build::Service, code: &mut String) {
        // prost insists that a package with services has code; empty files are left out later.
        code.push('\n');
        let full_name = full_name(&prost.package, &prost.proto_name);
        let Some(service) = self.model.service(&full_name) else {
            return;
        };
        self.packages.insert(prost.package.clone());
        let methods: Vec<Method<'_>> = service
            .methods
            .iter()
            .filter_map(|method| {
                let mut resolved = prost.methods.iter();
                let resolved = resolved.find(|prost| prost.proto_name == method.proto_name)?;
                Some(Method::new(method, resolved))
            })
            .collect();
        let mut docs = String::new();
        prost.comments.append_with_indent(0, &mut docs);
        code.push_str(&descriptors(service, &methods));
        if self.server {
            code.push_str(&server::handler_trait(service, &docs, &methods));
            code.push_str(&server::server(service, &methods));
        }
        if self.client {
            code.push_str(&client::client(service, &docs, &methods));
        }
    }

    fn finalize_package(&mut self, package: &str, code: &mut String) {
        if self.packages.contains(package) {
            code.push_str(HANDSHAKE);
        }
    }
}
