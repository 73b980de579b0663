//! Every interoperability case over every transport, and between two processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use iip_rpc::tokio::task::JoinSet;
use iip_tests::interop::{
    ByAddress, Context, InProcess, NAMES, SoakConfig, Target, bind, run, run_all,
};

async fn check_all<T: Target>(target: T) {
    let context = Context::connect(target, SoakConfig::default())
        .await
        .expect("the server is there");
    let verdicts = run_all(&context).await;
    assert_eq!(verdicts.len(), NAMES.len());
    let failed: Vec<String> = verdicts
        .into_iter()
        .filter_map(|(name, verdict)| Some(format!("{name}: {}", verdict.err()?)))
        .collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// Runs all cases against a server in this process that listens on `address`.
fn check_all_over(address: &str) {
    iip_rpc::run(async {
        let server = bind(address).await.expect("the address is free");
        let target = ByAddress::new(server.local_addr().to_string());
        let mut serving = JoinSet::new();
        serving.spawn(server.serve());
        check_all(target).await;
    });
}

/// A folder that no other test has, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        // The path of a Unix socket is short, so the folder is not one of the build.
        let folder = std::env::temp_dir().join(format!("iip-interop-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn all_cases_pass_over_tcp() {
    check_all_over("127.0.0.1:0");
}

#[test]
fn all_cases_pass_over_a_unix_socket() {
    let folder = Folder::new();
    check_all_over(&format!("unix:{}", folder.0.join("socket").display()));
}

#[test]
fn all_cases_pass_in_memory() {
    check_all_over("memory://interop");
}

#[test]
fn all_cases_pass_without_a_connection() {
    iip_rpc::run(check_all(InProcess::new()));
}

/// Stops the process when the test is done, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn all_cases_pass_between_two_processes() {
    let mut server = Running(
        Command::new(env!("CARGO_BIN_EXE_interop"))
            .args(["server", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts"),
    );
    let output = server.0.stdout.take().expect("its output is a pipe");
    let mut address = String::new();
    BufReader::new(output)
        .read_line(&mut address)
        .expect("it prints its address");
    let client = interop(&["client", "--addr", address.trim(), "--case", "all"]);
    let output = String::from_utf8_lossy(&client.stdout);
    let errors = String::from_utf8_lossy(&client.stderr);
    assert!(client.status.success(), "{output}{errors}");
    let passed = output.lines().filter(|line| line.contains(": passed"));
    assert_eq!(passed.count(), NAMES.len(), "{output}");
}

fn interop(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_interop"))
        .args(arguments)
        .output()
        .expect("the program runs")
}

#[test]
fn the_program_fails_without_a_server() {
    let client = interop(&["client", "--addr", "memory://nowhere", "--case", "all"]);
    assert!(!client.status.success());
    assert!(!client.stderr.is_empty());
}

#[test]
fn the_program_lists_the_cases() {
    let list = interop(&["list"]);
    let names = String::from_utf8_lossy(&list.stdout);
    assert_eq!(names.lines().collect::<Vec<_>>(), NAMES);
}

#[test]
fn a_case_of_another_name_fails() {
    let verdict = iip_rpc::run(async {
        let context = Context::connect(InProcess::new(), SoakConfig::default());
        run("nonsense", &context.await.expect("a service")).await
    });
    let failure = verdict.expect_err("no such case").to_string();
    assert!(
        failure.contains("nonsense") && failure.contains("empty_unary"),
        "{failure}"
    );
}

/// The documentation lists every case, and no other.
#[test]
fn the_documentation_lists_the_cases() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/interop.md");
    let text = fs::read_to_string(file).expect("docs/interop.md is there");
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .take(NAMES.len())
        .collect();
    assert_eq!(listed, NAMES);
}
