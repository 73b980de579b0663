//! What the examples `files` and `pull` stand on, apart from their programs so that tests reach it.

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
