//! The struct that answers in tests.

use crate::methods::{Method, service_impls};
use crate::model::Service;

/// The struct whose answers a test sets, one function a method.
pub(crate) fn mock(service: &Service, methods: &[Method<'_>]) -> String {
    let name = service.mock();
    let full_name = &service.full_name;
    let unset: String = methods
        .iter()
        .map(|method| unset(service, method))
        .collect();
    let setters: String = methods
        .iter()
        .map(|method| setter(service, method))
        .collect();
    format!(
        "/// Answers the methods of `{full_name}` in tests, each as it is told to.
        ///
        /// It is given to a client in place of a channel, or served like any service. A method that was told
        /// nothing answers `UNIMPLEMENTED`. A clone keeps the answers that it was made with.
        #[allow(dead_code)]
        #[derive(Clone, Debug)]
        pub struct {name} {{
            methods: ::iip_rpc::codegen::Methods,
        }}
        #[allow(dead_code)]
        impl {name} {{
            /// Answers no method yet.
            pub fn new() -> Self {{
                let methods = ::iip_rpc::codegen::Methods::builder({full_name:?}){unset}.build();
                Self {{ methods }}
            }}
            {setters}
        }}
        impl ::core::default::Default for {name} {{
            fn default() -> Self {{
                Self::new()
            }}
        }}
        {impls}",
        impls = service_impls(&name, full_name),
    )
}

/// The function that sets how a method answers.
fn on(method: &Method<'_>) -> String {
    format!("on_{}", method.model.name.trim_start_matches("r#"))
}

fn unset(service: &Service, method: &Method<'_>) -> String {
    let arguments = method.arguments();
    let arguments = arguments
        .iter()
        .map(|(name, argument)| format!("_{name}: {argument},"));
    let text = format!(
        "{} has no answer for {} (setting: {})",
        service.mock(),
        method.model.path,
        on(method)
    );
    format!(
        ".{function}(&{descriptors}::{constant}, |{arguments}| {{ {ready} }})",
        function = method.function(),
        descriptors = service.descriptors(),
        constant = method.model.constant,
        arguments = arguments.collect::<String>(),
        ready = method.unimplemented(&text),
    )
}

fn setter(service: &Service, method: &Method<'_>) -> String {
    let arguments = method.arguments();
    let arguments: Vec<&str> = arguments.iter().map(|(_, argument)| &**argument).collect();
    format!(
        "/// Answers calls of `{path}` with what the closure returns, and no longer as before.
        #[must_use]
        pub fn {on}<{future}>(
            self,
            answer: impl ::core::ops::Fn({arguments}) -> {future}
                + ::core::marker::Send + ::core::marker::Sync + 'static,
        ) -> Self
        where
            {future}: ::core::future::Future<Output = {outcome}> + ::core::marker::Send + 'static,
        {{
            let methods = self
                .methods
                .without(&{descriptors}::{constant})
                .{function}(&{descriptors}::{constant}, answer)
                .build();
            Self {{ methods }}
        }}\n",
        path = method.model.path,
        on = on(method),
        future = service.future,
        arguments = arguments.join(", "),
        outcome = method.outcome(),
        function = method.function(),
        descriptors = service.descriptors(),
        constant = method.model.constant,
    )
}
