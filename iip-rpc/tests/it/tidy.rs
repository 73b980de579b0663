//! The rules that this crate's own sources keep.

#[path = "../../../iip-tests/tidy/crate_rules.rs"]
mod crate_rules;
