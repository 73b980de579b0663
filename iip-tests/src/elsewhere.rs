//! What the fixture `extern_paths` finds outside of the generated code.

use iip_rpc::prost::{Enumeration, Message};

/// In place of `shop.Stamp`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
#[prost(prost_path = "::iip_rpc::prost")]
pub struct Stamp {
    /// Another shape than in the .proto file, to show which one is used.
    #[prost(string, tag = "1")]
    pub ink: String,
}

/// In place of the package `common`.
pub mod common {
    use super::{Enumeration, Message};

    /// In place of `common.Id`.
    #[derive(Clone, PartialEq, Eq, Hash, Message)]
    #[prost(prost_path = "::iip_rpc::prost")]
    pub struct Id {
        /// The identifier.
        #[prost(string, tag = "1")]
        pub value: String,
    }

    /// In place of `common.Level`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
    #[prost(prost_path = "::iip_rpc::prost")]
    #[repr(i32)]
    pub enum Level {
        /// The lower one.
        Low = 0,
        /// The higher one.
        High = 1,
    }

    /// In place of the package `common.nested`.
    pub mod nested {
        use super::Message;

        /// In place of `common.nested.Reason`.
        #[derive(Clone, PartialEq, Eq, Hash, Message)]
        #[prost(prost_path = "::iip_rpc::prost")]
        pub struct Reason {
            /// The text.
            #[prost(string, tag = "1")]
            pub text: String,
        }
    }
}
