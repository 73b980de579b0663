//! Nothing here looks for protoc, or needs it.

use std::env;
use std::process::Command;

#[test]
fn the_fixtures_are_generated_where_there_is_no_protoc() {
    let tests = env::current_exe().expect("the path of the tests");
    let output = Command::new(tests)
        .args([
            "--exact",
            "golden::every_fixture_generates_what_is_expected",
        ])
        .env("PROTOC", "/nonexistent")
        .env("PATH", "")
        .env("IIP_TEST_RUN", "no-protoc")
        .env_remove("IIP_BLESS")
        .output()
        .expect("the tests can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}
