//! The struct that calls a service.

use crate::methods::Method;
use crate::model::{Kind, Part, Service};

/// What a client says of something that the .proto file marks as deprecated.
const DEPRECATED: &str = "#[deprecated(note = \"marked as deprecated in the .proto file\")]\n";

/// The client struct, with the service's comment.
pub(crate) fn client(service: &Service, docs: &str, methods: &[Method<'_>]) -> String {
    let name = service.client();
    let param = &service.channel;
    let docs = if docs.is_empty() {
        format!("/// Calls the methods of `{}`.\n", service.full_name)
    } else {
        docs.to_owned()
    };
    let attributes = service.attributes(Part::Client);
    let deprecated = if service.deprecated { DEPRECATED } else { "" };
    let calls: String = methods.iter().map(|method| call(service, method)).collect();
    format!(
        "{docs}///
        /// Calls take `&self`, and a clone shares the channel: one client serves any number of callers.
        ///
        /// # Cancel safety
        ///
        /// A call whose future is dropped is cancelled; the server may have handled it all the same.
        #[allow(dead_code)]
        #[derive(Clone, Debug)]
        {attributes}pub struct {name}<{param} = ::iip_rpc::codegen::Channel> {{
            service: {param},
        }}
        #[allow(dead_code)]
        impl {name}<::iip_rpc::codegen::Channel> {{
            /// Connects to a server: at an address, for example `iip://127.0.0.1:9090`, or with other settings than the
            /// default ones, as `iip_rpc::Channel::builder(address)` collects them.
            ///
            /// # Errors
            ///
            /// The target is not valid, or no connection could be made.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future gives the attempt up and leaves nothing behind.
            {deprecated}pub async fn connect(
                target: impl ::core::convert::Into<::iip_rpc::codegen::ChannelBuilder>,
            ) -> ::core::result::Result<Self, ::iip_rpc::codegen::Status> {{
                let service = ::iip_rpc::codegen::Channel::connect(target).await?;
                ::core::result::Result::Ok(Self {{ service }})
            }}
        }}
        #[allow(dead_code)]
        impl<{param}: ::iip_rpc::codegen::RpcService> {name}<{param}> {{
            /// Calls over a channel, or a server in the same process.
            {deprecated}pub fn new(service: {param}) -> Self {{
                Self {{ service }}
            }}
            {calls}
        }}\n"
    )
}

/// What a caller has to know of a method that streams.
fn note(kind: Kind) -> &'static str {
    match kind {
        Kind::Unary => "",
        Kind::ServerStreaming => {
            "Returns when the response has begun, with the stream of its messages. Dropping the stream\n\
             cancels the call."
        }
        Kind::ClientStreaming => {
            "Returns when the call has begun, with the sender of its messages and the reply to wait for. The\n\
             request ends with the sender's `finish`; dropping the sender before, or the reply, cancels the call."
        }
        Kind::Bidirectional => {
            "Returns when the call has begun, with the sender of its messages and the stream of those that\n\
             come back. The request ends with the sender's `finish`; dropping the sender before, or the stream,\n\
             cancels the call."
        }
    }
}

fn call(service: &Service, method: &Method<'_>) -> String {
    format!(
        "{docs}{deprecated}{lints}pub async fn {name}(
            &self,
            request: impl ::iip_rpc::codegen::IntoRequest<{first}>,
        ) -> {answer} {{
            let request = request.into_request();
            ::iip_rpc::codegen::{function}(&self.service, &{descriptors}::{constant}, request).await
        }}\n",
        docs = method.docs("Calls", note(method.model.kind)),
        deprecated = if method.model.deprecated {
            DEPRECATED
        } else {
            ""
        },
        lints = method.model.lints(),
        name = method.model.name,
        first = method.first(),
        answer = method.answer(),
        function = method.function(),
        descriptors = service.descriptors(),
        constant = method.model.constant,
    )
}
