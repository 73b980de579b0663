//! Nothing leads out of a served folder; and the bytes of the pull pattern.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use transfer::folder::Folder;
use transfer::pull::{
    UploadMeta, download_answer, read_download_answer, read_upload_request, upload_request,
};

#[test]
fn names_that_lead_out_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let inside = base.path().join("inside");
    fs::create_dir_all(inside.join("sub")).unwrap();
    fs::write(base.path().join("secret"), "secret").unwrap();
    fs::write(inside.join("sub/file"), "file").unwrap();
    symlink("../secret", inside.join("link")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    symlink("../secret", inside.join("upload.iip-part")).unwrap();
    mknodat(
        CWD,
        inside.join("fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let folder = Folder::open(&inside).unwrap();
    assert_eq!(
        folder.read("sub/file").unwrap().metadata().unwrap().len(),
        4
    );
    let long = "x".repeat(256);
    let longer = "x/".repeat(600) + "x";
    for name in [
        "",
        ".",
        "..",
        "../secret",
        "sub/../../secret",
        "/etc/passwd",
        "sub//file",
        "sub/",
        "a\0b",
        "a\nb",
        "upload.iip-part",
        &long,
        &longer,
    ] {
        assert_eq!(
            folder.read(name).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{name:?}"
        );
        assert_eq!(
            folder.partial(name).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{name:?}"
        );
    }
    for name in ["link", "fifo", "sub"] {
        assert_eq!(
            folder.read(name).unwrap_err().kind(),
            ErrorKind::PermissionDenied,
            "{name}"
        );
    }
    folder.read("up/secret").unwrap_err();
    folder.partial("up/new").unwrap_err();
    folder.partial("upload").unwrap_err();
    assert_eq!(fs::read(base.path().join("secret")).unwrap(), b"secret");
    let devices = Folder::open("/dev").unwrap();
    assert_eq!(
        devices.read("null").unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
}

#[test]
fn a_partial_file_has_one_writer_and_gets_its_name_at_the_end() {
    let base = tempfile::tempdir().unwrap();
    let folder = Folder::open(base.path()).unwrap();
    let mut partial = folder.partial("file").unwrap();
    assert_eq!(
        folder.partial("file").unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    partial.append(b"abc").unwrap();
    assert_eq!(folder.kept("file").unwrap(), 3);
    assert_eq!(folder.read("file").unwrap_err().kind(), ErrorKind::NotFound);
    drop(partial);
    let partial = folder.partial("file").unwrap();
    assert_eq!(partial.len(), 3);
    partial.complete().unwrap();
    assert_eq!(fs::read(base.path().join("file")).unwrap(), b"abc");
    assert_eq!(folder.kept("file").unwrap(), 0);
    // Of nothing nothing is kept, and an empty file is a file.
    drop(folder.partial("other").unwrap());
    assert!(!base.path().join("other.iip-part").exists());
    folder.partial("other").unwrap().complete().unwrap();
    assert_eq!(fs::read(base.path().join("other")).unwrap(), b"");
}

#[test]
fn the_bytes_of_the_pull_pattern() {
    assert_eq!(&download_answer(true, b"ab")[..], b"\0\0\0\x01ab");
    assert_eq!(&download_answer(false, b"ab")[..], b"\0\0\0\0ab");
    let meta = UploadMeta {
        task_id: 1,
        file_path: "f".into(),
        upload_start_pos: 2,
        completed: false,
    };
    let json = br#"{"TaskId":1,"FilePath":"f","UploadStartPos":2,"Completed":false}"#;
    let request = upload_request(&meta, b"xy").unwrap();
    assert_eq!(
        request[..],
        [&[0, 0, 0, json.len() as u8][..], json, b"xy"].concat()
    );
    assert_eq!(
        read_upload_request(&request).unwrap(),
        (meta, Bytes::from_static(b"xy"))
    );
    for bad in [
        &b""[..],
        b"\0\0\0",
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\x03{}",
        b"\0\0\0\x02[[",
    ] {
        read_upload_request(&Bytes::copy_from_slice(bad)).unwrap_err();
    }
    read_download_answer(&Bytes::from_static(br#"{"code":-1,"message":"x"}"#)).unwrap_err();
}
