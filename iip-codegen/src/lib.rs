//! Turns `.proto` files into IIP clients and server traits at build time, without protoc.
//!
//! ```no_run
//! // build.rs
//! fn main() -> iip_codegen::Result {
//!     iip_codegen::compile("proto/helloworld.proto")
//! }
//! ```
//!
//! ```text
//! // src/main.rs
//! pub mod helloworld {
//!     iip_rpc::include_proto!("helloworld"); // the package's name, as the .proto file writes it
//! }
//! ```
//!
//! A `service Greeter` becomes a trait `Greeter` to implement, a struct `GreeterServer` that serves an
//! implementation, and a struct `GreeterClient` that calls one. Messages and enums are prost's.
//!
//! # Methods
//!
//! | in the `.proto` file | in the trait, after `&self` | of the client, without `Result<.., Status>` |
//! |---|---|---|
//! | `rpc Get(A) returns (B)` | `Request<A>` to `Response<B>` | `A` to `Response<B>` |
//! | `rpc List(A) returns (stream B)` | `Request<A>, Sender<B>` to `()` | `A` to `Response<Streaming<B>>` |
//! | `rpc Record(stream A) returns (B)` | `Request<Streaming<A>>` to `Response<B>` | `()` to `(Sender<A>, Reply<B>)` |
//! | `rpc Chat(stream A) returns (stream B)` | `Request<Streaming<A>>, Sender<B>` to `()` | `()` to `(Sender<A>, Streaming<B>)` |
//!
//! A client takes a bare message or a `Request` around it, which carries metadata and a timeout.
//!
//! # Settings
//!
//! [`configure()`] returns a [`Builder`] with these, each with a default that suits most:
//!
//! | setting | effect | default |
//! |---|---|---|
//! | [`out_dir`](Builder::out_dir) | where the code goes | `OUT_DIR` |
//! | [`include_file`](Builder::include_file) | also one file with all packages as modules | none |
//! | [`include`](Builder::include), [`includes`](Builder::includes) | folders that imports start at | searched for |
//! | [`build_client`](Builder::build_client) | clients | yes |
//! | [`build_server`](Builder::build_server) | traits and servers | yes |
//! | [`default_stubs`](Builder::default_stubs) | methods of traits may be left out | no |
//! | [`mock`](Builder::mock) | a mock of each service for tests | no |
//! | [`file_descriptor_set`](Builder::file_descriptor_set) | constants with the descriptors of the files | no |
//! | [`max_request`](Builder::max_request), [`max_response`](Builder::max_response) | limits of messages, for each method | none |
//! | [`rename_service`](Builder::rename_service), [`rename_method`](Builder::rename_method) | other names in Rust | [see below](#names) |
//! | [`extern_path`](Builder::extern_path) | types of another module or crate | none |
//! | [`well_known_types`](Builder::well_known_types) | where `google.protobuf` comes from | ready-made |
//! | [`bytes`](Builder::bytes) | `Bytes` for `bytes` fields | `Vec<u8>` |
//! | [`btree_map`](Builder::btree_map) | `BTreeMap` for maps | `HashMap` |
//! | [`boxed`](Builder::boxed) | a field in a `Box` | recursive ones |
//! | [`type_attribute`](Builder::type_attribute), [`message_attribute`](Builder::message_attribute), [`enum_attribute`](Builder::enum_attribute), [`field_attribute`](Builder::field_attribute) | attributes of messages and what is in them | none |
//! | [`trait_attribute`](Builder::trait_attribute), [`server_attribute`](Builder::server_attribute), [`client_attribute`](Builder::client_attribute) | attributes of what services become | none |
//!
//! # Names
//!
//! - One file a package, named after it: `a.b.rs`; a .proto file without a package becomes `_.rs`.
//!   Types of other packages are found by `super::`, so modules are nested as packages are;
//!   [`Builder::include_file`] writes that nesting.
//! - Methods become `snake_case`, services and messages `UpperCamelCase`, keywords `r#match`.
//! - Methods called `new`, `connect` or `clone` would hide functions of the client: they get a
//!   trailing underscore, `new_`. [`Builder::rename_method`] chooses another name.
//! - Names that would collide are an error that says which setting helps.
//!
//! # Documentation
//!
//! Comments of the .proto file become documentation; examples in them are shown as text and never run.
//! All that is generated for services is documented. prost documents a message or field only if the
//! .proto file does, so a crate that denies `missing_docs` puts `#[allow(missing_docs)]` on the module.

#![forbid(unsafe_code)]

mod builder;
mod client;
mod docs;
mod error;
mod generator;
mod ident;
#[cfg(test)]
mod ident_tests;
mod markdown;
#[cfg(test)]
mod markdown_tests;
mod messages;
mod methods;
mod mock;
mod model;
mod output;
mod protos;
mod selector;
#[cfg(test)]
mod selector_tests;
mod server;
mod source;

pub use builder::{Builder, WellKnownTypes, compile, configure};
pub use error::{Error, ErrorKind, Result};
pub use protos::Protos;
