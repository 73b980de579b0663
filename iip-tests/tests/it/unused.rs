//! A program need not use what is generated: nothing here is used, and nothing is reported.

#![allow(unreachable_pub, missing_docs)]

include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));
