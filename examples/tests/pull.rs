//! The pull pattern and echo: with themselves, and with the emulated Go reference on either side.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use iip_core::client::Client;
use iip_core::server::{Incoming, Server, handler_fn};
use iip_rpc::testing::Faults;
use iip_tests::reference;
use iip_tests::reference::examples::{UPLOAD_PIECE, server};
use transfer::folder::Folder;
use transfer::pull::{self, DOWNLOAD_PIECE};

const MAX_SIZE: u64 = 64 << 20;
const LIMIT: Duration = Duration::from_secs(60);

/// Bytes nobody can guess.
fn random(size: usize) -> Vec<u8> {
    let mut data = vec![0; size];
    fastrand::Rng::with_seed(size as u64).fill(&mut data);
    data
}

/// A server of `folder` with echo; its address.
async fn serve(folder: &Path) -> iip_core::transport::Address {
    let echo = handler_fn(|request: Incoming| async move { Ok(request.into_data()) });
    let limits = iip_core::session::Limits::default().max_message(16 << 20);
    let builder = Server::builder().limits(limits).handler("/echo", echo);
    let server = pull::serve(builder, &Folder::open(folder).unwrap(), MAX_SIZE);
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().clone();
    tokio::spawn(server.serve());
    address
}

async fn client_of(address: &str) -> Client {
    let builder = Client::builder(address.try_into().unwrap());
    builder.connect().await.unwrap()
}

/// The emulated reference's server of `folder`.
async fn emulated(folder: &Path) -> (reference::Server, SocketAddr) {
    let listener = reference::Server::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server(folder);
    tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    (server, address)
}

/// Sizes at which a piece ends with the file, or just before or after it.
const SIZES: [usize; 6] = [
    0,
    1,
    DOWNLOAD_PIECE - 1,
    DOWNLOAD_PIECE,
    DOWNLOAD_PIECE + 1,
    100_000,
];

#[tokio::test]
async fn files_travel_between_our_client_and_our_server() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let client = client_of(&serve(theirs.path()).await.to_string()).await;
    let back = Folder::open(ours.path()).unwrap();
    for size in SIZES {
        let data = random(size);
        let path = ours.path().join("file");
        fs::write(&path, &data).unwrap();
        let put = pull::upload(&client, &path, DOWNLOAD_PIECE).await;
        assert_eq!(put.unwrap(), size as u64);
        assert!(fs::read(theirs.path().join("file")).unwrap() == data);
        fs::remove_file(&path).unwrap();
        let got = pull::download(&client, "file", &back).await;
        assert_eq!(got.unwrap(), size as u64);
        assert!(fs::read(&path).unwrap() == data);
    }
}

#[tokio::test]
async fn a_transfer_that_is_cut_again_and_again_arrives() {
    const SIZE: u64 = 400_000;
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (back, data) = (tempfile::tempdir().unwrap(), random(SIZE as usize));
    fs::write(ours.path().join("file"), &data).unwrap();
    let target = serve(theirs.path()).await;
    let folder = Folder::open(back.path()).unwrap();
    let path = ours.path().join("file");
    for up in [true, false] {
        let mut passed = 0;
        for cuts in 1.. {
            // Each connection ends after so many bytes in either direction.
            let relay = Faults::new(cuts)
                .drop_after(90_000..=150_000)
                .relay(&target);
            let client = client_of(&relay.address().to_string()).await;
            let attempt = async {
                match up {
                    true => pull::upload(&client, &path, 20_000).await,
                    false => pull::download(&client, "file", &folder).await,
                }
            };
            let result = tokio::time::timeout(LIMIT, attempt).await.unwrap();
            passed += relay.passed();
            if result.is_ok() {
                assert!(cuts >= 3, "nothing was cut");
                break;
            }
            assert!(cuts < 8, "{result:?}");
        }
        // A piece that was cut, one at the beginning, and one that is compared come again for each connection.
        assert!(passed < SIZE + 8 * 3 * 20_000, "{passed} bytes");
    }
    assert!(fs::read(theirs.path().join("file")).unwrap() == data);
    assert!(fs::read(back.path().join("file")).unwrap() == data);
}

#[tokio::test]
async fn a_download_goes_on_only_where_the_last_piece_is_the_same() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = random(50_000);
    fs::write(theirs.path().join("file"), &data).unwrap();
    let client = client_of(&serve(theirs.path()).await.to_string()).await;
    let folder = Folder::open(ours.path()).unwrap();
    let mut other = data[..30_000].to_vec();
    other[25_000] ^= 1;
    let longer = [&data[..], b"more"].concat();
    for kept in [&data[..30_000], &data[..100], &data, &other, &longer] {
        fs::write(ours.path().join("file.iip-part"), kept).unwrap();
        let got = pull::download(&client, "file", &folder).await;
        assert_eq!(got.unwrap(), 50_000);
        assert!(fs::read(ours.path().join("file")).unwrap() == data);
    }
}

#[tokio::test]
async fn an_upload_goes_on_only_where_the_last_piece_is_the_same() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = random(50_000);
    let path = ours.path().join("file");
    fs::write(&path, &data).unwrap();
    let client = client_of(&serve(theirs.path()).await.to_string()).await;
    let mut other = data[..30_000].to_vec();
    other[25_000] ^= 1;
    let longer = [&data[..], b"more"].concat();
    for kept in [&data[..30_000], &data[..100], &data, &other, &longer] {
        fs::write(theirs.path().join("file.iip-part"), kept).unwrap();
        let put = pull::upload(&client, &path, 10_000).await;
        assert_eq!(put.unwrap(), 50_000);
        assert!(fs::read(theirs.path().join("file")).unwrap() == data);
    }
}

#[tokio::test]
async fn our_client_works_with_the_reference_s_server() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, address) = emulated(theirs.path()).await;
    let client = client_of(&address.to_string()).await;
    let folder = Folder::open(ours.path()).unwrap();
    for size in SIZES {
        let data = random(size);
        let path = ours.path().join("file");
        fs::write(&path, &data).unwrap();
        let put = pull::upload(&client, &path, 30_000).await;
        assert_eq!(put.unwrap(), size as u64);
        assert!(fs::read(theirs.path().join("file")).unwrap() == data);
        fs::remove_file(&path).unwrap();
        let kept = &data[..size / 2];
        fs::write(ours.path().join("file.iip-part"), kept).unwrap();
        let got = pull::download(&client, "file", &folder).await;
        assert_eq!(got.unwrap(), size as u64);
        assert!(fs::read(&path).unwrap() == data);
        fs::remove_file(theirs.path().join("file")).unwrap();
    }
    let missing = pull::download(&client, "missing", &folder).await;
    let missing = missing.unwrap_err().to_string();
    assert!(missing.starts_with("the server answered: {"), "{missing}");
    let answer = client.call("/echo", "Hello?").await.unwrap();
    assert_eq!(answer, "Hello?");
    // Each request was one frame, which is all that such a server understands.
    assert_eq!(server.observed().partial_frames, 0);
}

#[tokio::test]
async fn the_reference_s_client_works_with_our_server() {
    use iip_tests::reference::examples::{download, upload};
    let theirs = tempfile::tempdir().unwrap();
    let address = serve(theirs.path()).await.to_string();
    let address = address.trim_start_matches("iip://");
    let client = reference::Client::connect(address).await.unwrap();
    let channel = client.new_channel().await.unwrap();
    // The last has more than one piece of the largest size.
    for size in SIZES.into_iter().chain([UPLOAD_PIECE + 1]) {
        let data = random(size);
        // Its client names a file by the path that it has there.
        let put = upload(&channel, "/home/somebody/file", &data, UPLOAD_PIECE).await;
        put.unwrap();
        assert!(fs::read(theirs.path().join("file")).unwrap() == data);
        let from = size / 2;
        let got = download(&channel, "file", from as u64).await.unwrap();
        assert!(got == data[from..]);
    }
    for outside in ["../file", "/etc/passwd", "missing"] {
        let refusal = download(&channel, outside, 0).await.unwrap_err();
        assert!(refusal.starts_with('{'), "{refusal}");
    }
    // A length that is wrong ends nothing.
    for malformed in [&b"\xff\xff\xff\xff{}"[..], b"\0\0\0\x02[[", b"\0"] {
        let answer = channel
            .request(pull::UPLOAD, malformed, LIMIT)
            .await
            .unwrap();
        assert!(answer.starts_with(br#"{"code":-1"#), "{answer:?}");
    }
    let answer = channel.request("/echo", "Hello?", LIMIT).await.unwrap();
    assert_eq!(answer, b"Hello?");
}
