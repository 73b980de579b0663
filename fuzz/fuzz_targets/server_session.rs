#![no_main]

#[path = "../bodies/server_session.rs"]
mod body;
#[path = "../bodies/script.rs"]
mod script;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
