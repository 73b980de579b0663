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
//! [`configure()`] returns a [`Builder`] with the settings.
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
mod model;
mod output;
mod server;
mod source;

pub use builder::{Builder, Protos, Stubs, WellKnownTypes, compile, configure};
pub use error::{Error, ErrorKind, Result};
