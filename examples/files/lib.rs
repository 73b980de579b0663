//! What the examples `files` and `pull` stand on, apart from their programs so that tests reach it.

use std::error::Error;
use std::process::ExitCode;

pub mod client;
pub mod folder;
pub mod pull;
pub mod service;

/// The code generated from `proto/files/files.proto`.
pub mod files {
    iip_rpc::include_proto!("files");
}

/// Runs what blocks, such as file access, on threads that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(std::io::Error::other("the work was given up")),
    }
}

/// How a program ends: what failed, with its causes, is one line on the standard error stream.
pub fn exit(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let further = error.to_string();
        // Many errors say their cause themselves.
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        cause = error.source();
    }
    eprintln!("{}", text.replace('\n', " "));
    ExitCode::FAILURE
}
