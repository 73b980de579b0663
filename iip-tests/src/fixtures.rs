//! The fixtures of iip-codegen, each in a module of its own.

// Most of them are about something else and have no comments.
#![allow(missing_docs)]

include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));
