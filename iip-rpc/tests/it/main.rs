//! Integration tests: services as the code generator writes them, called in every way there is.

mod allocations;
#[cfg(feature = "testing")]
mod compression;
#[cfg(feature = "details")]
mod details;
#[cfg(feature = "testing")]
mod faults;
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "written as the code generator writes it"
)]
mod greeter;
mod health;
mod in_process;
mod layered_streams;
mod layers;
mod many;
mod native;
mod overload;
mod peer;
mod plain;
mod raw;
mod retries;
#[cfg(feature = "testing")]
mod retries_cut;
#[cfg(feature = "testing")]
mod retries_many;
mod settings;
mod shutdown;
mod streaming;
mod streaming_ends;
mod streaming_limits;
mod streams;
mod tidy;
