//! The reference's examples between the emulator's two sides.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use iip_rpc::tokio;
use iip_tests::reference::Client;
use iip_tests::reference::examples::{DOWNLOAD_PIECE, download, server, upload};

/// A folder that no other test has, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("iip-reference-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn files_travel_in_pieces_both_ways() {
    let folder = Folder::new("files");
    let server = server(&folder.0);
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_connection(far).await });
    let client = Client::over(near);
    let channel = client.new_channel().await.expect("a channel");
    let data: Vec<u8> = (0..50_000u32).flat_map(u32::to_be_bytes).collect();
    upload(&channel, "file", &data, 30_000)
        .await
        .expect("an upload");
    assert_eq!(fs::read(folder.0.join("file")).expect("a file"), data);
    assert_eq!(download(&channel, "file", 0).await.expect("a file"), data);
    // From the middle on, and what is there already.
    let from = data.len() - DOWNLOAD_PIECE;
    assert_eq!(
        download(&channel, "file", from as u64)
            .await
            .expect("its end"),
        data[from..]
    );
    upload(&channel, "empty", &[], 1).await.expect("an upload");
    assert_eq!(download(&channel, "empty", 0).await, Ok(Vec::new()));
    let missing = download(&channel, "missing", 0).await.expect_err("no file");
    assert!(
        missing.starts_with(r#"{"code":-1,"message":"handler fail:"#),
        "{missing}"
    );
    let calls = server.observed().calls;
    assert_eq!(calls["/upload_file"], data.len().div_ceil(30_000) + 2);
    let echo = channel
        .request("/echo_benchmark", "x", Duration::ZERO)
        .await;
    assert_eq!(echo, Ok("x".into()));
}
