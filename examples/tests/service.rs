//! The service and client of `files` over RPC: what is refused, and what is taken up again.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use iip_rpc::server::ServerBuilder;
use iip_rpc::{Code, Sender, Server, Status};
use tempfile::TempDir;
use transfer::client::{TransferError, connect, download, persist, upload};
use transfer::files::{
    Begin, DownloadPart, DownloadRequest, FilesClient, FilesServer, MockFiles, StandingRequest,
    UploadPart, UploadReply, download_part, upload_part,
};
use transfer::folder::Folder;
use transfer::service::{CHUNK, FileService};

const MAX_SIZE: u64 = 1 << 20;

async fn serving(builder: ServerBuilder) -> FilesClient {
    let server = builder.bind("127.0.0.1:0").await.unwrap();
    let client = connect(&server.local_addr().to_string()).unwrap();
    tokio::spawn(server.serve());
    client
}

/// A client of a server of `folder`.
async fn client_of(folder: &Path) -> FilesClient {
    let service = FileService::new(Folder::open(folder).unwrap(), MAX_SIZE);
    serving(Server::builder().add_service(FilesServer::new(service))).await
}

fn request(name: &str) -> DownloadRequest {
    DownloadRequest {
        name: name.into(),
        ..Default::default()
    }
}

async fn refusal_of_download(client: &FilesClient, request: DownloadRequest) -> Status {
    match client.download(request).await {
        Err(status) => status,
        Ok(answer) => answer.into_inner().message().await.unwrap_err(),
    }
}

async fn standing(client: &FilesClient, name: &str) -> Result<u64, Status> {
    let reply = client.standing(StandingRequest { name: name.into() }).await;
    reply.map(|reply| reply.into_inner().offset)
}

fn part(part: upload_part::Part) -> UploadPart {
    UploadPart { part: Some(part) }
}

fn begin(name: &str, size: u64) -> UploadPart {
    part(upload_part::Part::Begin(Begin {
        name: name.into(),
        size,
        ..Default::default()
    }))
}

fn data(data: &'static [u8]) -> UploadPart {
    part(upload_part::Part::Data(data.into()))
}

fn digest(digest: &'static [u8]) -> UploadPart {
    part(upload_part::Part::Digest(digest.into()))
}

/// An upload of these parts, after which the client ends its direction.
async fn upload_parts(client: &FilesClient, parts: Vec<UploadPart>) -> Result<u64, Status> {
    let (out, reply) = client.upload(()).await?;
    for part in parts {
        // The reply says why nobody takes it.
        if out.send(part).await.is_err() {
            break;
        }
    }
    out.finish().await?;
    Ok(reply.await?.into_inner().size)
}

fn files_in(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn no_name_leads_out_of_the_folder() {
    let base = tempfile::tempdir().unwrap();
    let inside = base.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(base.path().join("secret"), "secret").unwrap();
    symlink("../secret", inside.join("link")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    symlink("../secret", inside.join("bait.iip-part")).unwrap();
    let client = client_of(&inside).await;
    let absolute = base.path().join("secret");
    for name in ["../secret", "a/../../secret", absolute.to_str().unwrap()] {
        let upload = upload_parts(&client, vec![begin(name, 1)]).await;
        for refusal in [
            refusal_of_download(&client, request(name)).await,
            standing(&client, name).await.unwrap_err(),
            upload.unwrap_err(),
        ] {
            assert_eq!(refusal.code(), Code::InvalidArgument, "{name}");
        }
    }
    for name in ["link", "up/secret"] {
        let refusal = refusal_of_download(&client, request(name)).await;
        assert_eq!(refusal.code(), Code::PermissionDenied, "{name}");
    }
    for name in ["up/new", "bait"] {
        let upload = upload_parts(&client, vec![begin(name, 1), data(b"x")]).await;
        assert_eq!(upload.unwrap_err().code(), Code::PermissionDenied, "{name}");
    }
    assert_eq!(fs::read(&absolute).unwrap(), b"secret");
    assert!(!base.path().join("new").exists());
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_before_it_is_sent() {
    let theirs = tempfile::tempdir().unwrap();
    let ours = tempfile::tempdir().unwrap();
    let client = client_of(theirs.path()).await;
    let path = ours.path().join("file");
    fs::write(&path, vec![1; MAX_SIZE as usize + 1]).unwrap();
    let refusal = upload(&client, &path, "file", &()).await.unwrap_err();
    let TransferError::Call(status) = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(files_in(&theirs).is_empty());

    fs::write(&path, vec![1; MAX_SIZE as usize]).unwrap();
    let size = upload(&client, &path, "file", &()).await.unwrap();
    assert_eq!(size, MAX_SIZE);
}

#[tokio::test]
async fn an_upload_is_as_long_as_it_said() {
    let theirs = tempfile::tempdir().unwrap();
    let client = client_of(theirs.path()).await;
    for (parts, code) in [
        (
            vec![begin("file", 3), data(b"ab"), data(b"cd")],
            Code::OutOfRange,
        ),
        (
            vec![begin("file", 3), data(b"ab"), digest(b"")],
            Code::InvalidArgument,
        ),
        (vec![begin("file", 3), data(b"abc")], Code::InvalidArgument),
        (vec![data(b"abc")], Code::InvalidArgument),
        (
            vec![begin("file", 3), begin("file", 3)],
            Code::InvalidArgument,
        ),
        (vec![], Code::InvalidArgument),
    ] {
        let refusal = upload_parts(&client, parts.clone()).await.unwrap_err();
        assert_eq!(refusal.code(), code, "{parts:?}");
        assert!(!theirs.path().join("file").exists());
    }
}

#[tokio::test]
async fn an_upload_with_a_wrong_digest_leaves_nothing() {
    let theirs = tempfile::tempdir().unwrap();
    fs::write(theirs.path().join("file"), "before").unwrap();
    let client = client_of(theirs.path()).await;
    let parts = vec![begin("file", 3), data(b"abc"), digest(&[0; 32])];
    let refusal = upload_parts(&client, parts).await.unwrap_err();
    assert_eq!(refusal.code(), Code::DataLoss);
    assert_eq!(standing(&client, "file").await.unwrap(), 0);
    assert_eq!(fs::read(theirs.path().join("file")).unwrap(), b"before");
}

#[tokio::test]
async fn a_download_with_a_wrong_digest_leaves_nothing() {
    let ours = tempfile::tempdir().unwrap();
    let liar = MockFiles::new().on_download(|_, out: Sender<DownloadPart>| async move {
        for part in [
            download_part::Part::Size(3),
            download_part::Part::Data("abc".into()),
            download_part::Part::Digest(vec![0; 32].into()),
        ] {
            out.send(DownloadPart { part: Some(part) }).await?;
        }
        Ok(())
    });
    let client = serving(Server::builder().add_service(liar)).await;
    let folder = Folder::open(ours.path()).unwrap();
    let failed = download(&client, "file", &folder, &()).await.unwrap_err();
    assert!(matches!(failed, TransferError::Digest), "{failed}");
    assert_eq!(folder.kept("file").unwrap(), 0);
    assert!(!ours.path().join("file").exists());
}

#[tokio::test]
async fn a_file_that_changed_since_the_cut_is_transferred_anew() {
    let theirs = tempfile::tempdir().unwrap();
    let ours = tempfile::tempdir().unwrap();
    let client = client_of(theirs.path()).await;
    let folder = Folder::open(ours.path()).unwrap();
    // What is kept is the beginning of another file, or of a longer one.
    for kept in ["old half of a file", "the new file, once longer"] {
        fs::write(theirs.path().join("down"), "the new file").unwrap();
        fs::write(ours.path().join("down.iip-part"), kept).unwrap();
        let stale = download(&client, "down", &folder, &()).await.unwrap_err();
        let TransferError::Call(status) = stale else {
            panic!("{stale}")
        };
        assert_eq!(status.code(), Code::FailedPrecondition);
        let again = || download(&client, "down", &folder, &());
        assert_eq!(persist(again, || 0).await.unwrap(), 12);
        assert_eq!(fs::read(ours.path().join("down")).unwrap(), b"the new file");

        fs::write(ours.path().join("up"), "the new file").unwrap();
        fs::write(theirs.path().join("up.iip-part"), kept).unwrap();
        let path = ours.path().join("up");
        assert_eq!(upload(&client, &path, "up", &()).await.unwrap(), 12);
        assert_eq!(fs::read(theirs.path().join("up")).unwrap(), b"the new file");
    }
    assert_eq!(files_in(&theirs), ["down", "up"]);
    assert_eq!(files_in(&ours), ["down", "up"]);
}

#[tokio::test]
async fn what_is_kept_is_not_sent_again() {
    let theirs = tempfile::tempdir().unwrap();
    fs::write(theirs.path().join("file"), "abcdef").unwrap();
    let ours = tempfile::tempdir().unwrap();
    fs::write(ours.path().join("file.iip-part"), "abcd").unwrap();
    let service = FileService::new(Folder::open(theirs.path()).unwrap(), MAX_SIZE);
    let builder = Server::builder().add_service(FilesServer::new(service.clone()));
    let client = serving(builder).await;
    let folder = Folder::open(ours.path()).unwrap();
    download(&client, "file", &folder, &()).await.unwrap();
    assert_eq!(fs::read(ours.path().join("file")).unwrap(), b"abcdef");
    assert_eq!(service.sent(), 2);

    fs::write(theirs.path().join("file.iip-part"), "abcde").unwrap();
    let path = ours.path().join("file");
    upload(&client, &path, "file", &()).await.unwrap();
    assert_eq!(service.received(), 1);
}

#[tokio::test]
async fn a_download_of_a_file_that_changes_is_aborted() {
    let theirs = tempfile::tempdir().unwrap();
    // More than fits into the window, so that the server is not done when the file changes.
    fs::write(theirs.path().join("file"), vec![1; 64 * CHUNK]).unwrap();
    let client = client_of(theirs.path()).await;
    let answer = client.download(request("file")).await.unwrap();
    let mut parts = answer.into_inner();
    parts.message().await.unwrap();
    fs::write(theirs.path().join("file"), "short").unwrap();
    let refusal = loop {
        match parts.message().await {
            Ok(part) => assert!(part.is_some(), "the end of the file"),
            Err(status) => break status,
        }
    };
    assert_eq!(refusal.code(), Code::Aborted);
}

#[tokio::test]
async fn a_name_has_one_upload_at_a_time() {
    let theirs = tempfile::tempdir().unwrap();
    let ours = tempfile::tempdir().unwrap();
    let path = ours.path().join("file");
    fs::write(&path, "second").unwrap();
    let client = client_of(theirs.path()).await;
    let (out, reply) = client.upload(()).await.unwrap();
    out.send(begin("file", 3)).await.unwrap();
    out.send(data(b"abc")).await.unwrap();
    let taken = async { while standing(&client, "file").await.unwrap() < 3 {} };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, taken)
        .await
        .expect("it is taken");

    let second = upload(&client, &path, "file", &()).await.unwrap_err();
    let TransferError::Call(status) = second else {
        panic!("{second}")
    };
    assert_eq!(status.code(), Code::Aborted);
    assert_eq!(standing(&client, "file").await.unwrap(), 3);

    let sha_256 = b"\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23\
        \xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad";
    out.send(digest(sha_256)).await.unwrap();
    out.finish().await.unwrap();
    assert_eq!(reply.await.unwrap().into_inner(), UploadReply { size: 3 });
    assert_eq!(fs::read(theirs.path().join("file")).unwrap(), b"abc");
    upload(&client, &path, "file", &()).await.unwrap();
    assert_eq!(fs::read(theirs.path().join("file")).unwrap(), b"second");
}

/// How often something is tried that always fails with `status`, and moves a byte in its first `moving` attempts.
async fn attempts(status: Status, moving: u64) -> u64 {
    let (made, moved) = (Cell::new(0), Cell::new(0));
    let attempt = || {
        made.set(made.get() + 1);
        moved.set(made.get().min(moving));
        let status = status.clone();
        async { Err(TransferError::Call(status)) }
    };
    persist(attempt, || moved.get()).await.unwrap_err();
    made.get()
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_while_they_move_something() {
    for (status, moving, expected) in [
        (Status::unavailable("gone"), 0, 10),
        (Status::unavailable("gone"), 30, 40),
        (Status::unknown("lost"), 0, 10),
        (Status::aborted("busy"), 0, 10),
        (Status::not_found("none"), 30, 1),
        (Status::resource_exhausted("too large"), 0, 1),
        (Status::data_loss("not what was sent"), 0, 1),
    ] {
        assert_eq!(attempts(status, moving).await, expected);
    }
    let mut left = 3;
    let late = persist(
        || {
            left -= 1;
            let result = match left {
                0 => Ok(7),
                _ => Err(TransferError::Call(Status::unavailable("gone"))),
            };
            async { result }
        },
        || 0,
    );
    assert_eq!(late.await.unwrap(), 7);
}
