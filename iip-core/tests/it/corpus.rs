//! Replays what fuzzing found worth keeping.

#[path = "../../../fuzz/bodies/client_session.rs"]
mod client_session;
#[path = "../../../fuzz/bodies/decode.rs"]
mod decode;
#[path = "../../../fuzz/bodies/script.rs"]
mod script;
#[path = "../../../fuzz/bodies/server_session.rs"]
mod server_session;

use std::fs;
use std::path::Path;

/// Beginnings of an input are inputs of their own, where the whole is short enough to try them all.
const MAX_TO_CUT: usize = 256;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
    let mut count = 0;
    for entry in entries {
        let file = entry.expect("an entry of the corpus").path();
        let input = fs::read(&file).expect("a file of the corpus");
        run(&input);
        if input.len() <= MAX_TO_CUT {
            for length in 0..input.len() {
                run(&input[..length]);
            }
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} inputs for {target}");
}

#[test]
fn decode_corpus() {
    replay("decode", decode::run);
}

#[test]
fn client_session_corpus() {
    replay("client_session", client_session::run);
}

#[test]
fn server_session_corpus() {
    replay("server_session", server_session::run);
}
