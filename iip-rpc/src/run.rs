use std::future::Future;

/// Runs `future` to its end on a new multi-threaded runtime, one thread a core: a whole `main`, without a dependency
/// on tokio. Tasks that still run when the future ends are dropped.
///
/// ```
/// # async fn serve() -> iip_rpc::Result<()> { Ok(()) }
/// fn main() -> iip_rpc::Result<()> {
///     iip_rpc::run(async {
///         // Bind a server, or connect a channel.
///         serve().await
///     })
/// }
/// ```
///
/// # Panics
///
/// The operating system gives no threads or no event queue, or this is called from inside a runtime.
pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("the runtime cannot start: {error}"))
        .block_on(future)
}

/// Includes the code that iip-codegen generated for a protobuf package in `build.rs`.
///
/// ```text
/// pub mod helloworld {
///     iip_rpc::include_proto!("helloworld");
/// }
/// ```
#[macro_export]
macro_rules! include_proto {
    ($package:tt) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
    };
}
