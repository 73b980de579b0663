//! Writes the code of services where prost writes that of messages.

use std::collections::BTreeSet;

use crate::client;
use crate::ident::full_name;
use crate::methods::{Method, descriptors};
use crate::mock;
use crate::model::{Model, Parts};
use crate::server;

/// Ties the generated code to the runtime: a runtime that does not fit has no such name.
const HANDSHAKE: &str = "const _: ::iip_rpc::codegen::V1 = ::iip_rpc::codegen::V1;\n";

/// What prost asks for the code of services.
pub(crate) struct Generator {
    model: Model,
    parts: Parts,
    /// Packages that services were generated for.
    packages: BTreeSet<String>,
}

impl Generator {
    pub(crate) fn new(model: Model, parts: Parts) -> Self {
        Self {
            model,
            parts,
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
        if self.parts.server {
            let default_stubs = self.parts.default_stubs;
            code.push_str(&server::handler_trait(
                service,
                &docs,
                &methods,
                default_stubs,
            ));
            code.push_str(&server::server(service, &methods));
        }
        if self.parts.client {
            code.push_str(&client::client(service, &docs, &methods));
        }
        if self.parts.mock {
            code.push_str(&mock::mock(service, &methods));
        }
    }

    fn finalize_package(&mut self, package: &str, code: &mut String) {
        if self.packages.contains(package) {
            code.push_str(HANDSHAKE);
        }
    }
}
