//! Generated code as its users have it: compiled in a crate that denies warnings, and called end to end.
//!
//! The code of all fixtures in an older edition:
//!
//! ```edition2021
//! #![deny(warnings)]
//! # pub mod elsewhere {
//! #     pub use iip_tests::elsewhere::*;
//! # }
//! mod fixtures {
//!     include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));
//! }
//! # fn main() {}
//! ```

#![deny(warnings, clippy::all, rustdoc::all)]

pub mod elsewhere;
pub mod fixtures;
pub mod fleet;
pub mod helloworld;
pub mod interop;
pub mod overload;
pub mod reference;
pub mod restarts;
