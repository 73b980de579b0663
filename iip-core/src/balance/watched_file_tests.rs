use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::discover::Discover;
use super::watched_file::{WatchedFile, parse};

/// A file of this test alone, removed at its end.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("iip-watched-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a file");
    }

    /// Replaces the file as a whole.
    fn replace(&self, text: &str) {
        let other = self.0.with_extension("new");
        fs::write(&other, text).expect("a file");
        fs::rename(&other, &self.0).expect("a file");
    }

    fn watch(&self) -> Watch {
        Watch(WatchedFile::new(&self.0).poll_every(Duration::from_millis(10)))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

struct Watch(WatchedFile);

impl Watch {
    async fn next(&mut self) -> Result<String, String> {
        let next = tokio::time::timeout(Duration::from_secs(60), self.0.next());
        match next.await.expect("a change") {
            Ok(targets) => Ok(shown(&targets)),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn shown(targets: &[super::target::Target]) -> String {
    let shown = targets.iter().map(|target| match target.locality() {
        Some(locality) => format!("{target} {locality}"),
        None => target.to_string(),
    });
    shown.collect::<Vec<_>>().join(",")
}

#[test]
fn lines_hold_endpoints_weights_localities_and_comments() {
    let text = "# all of them\n\
                10.0.0.1:9090#2 rack-1  # the large one\r\n\
                \n   \t\n\
                \t 10.0.0.2:9090 , [::1]:80#100 rack-2,\n\
                unix:///run/app.sock#3 # 4\n\
                #5.5.5.5:80\n  # 6.6.6.6:80";
    assert_eq!(
        shown(&parse(text).unwrap()),
        "iip://10.0.0.1:9090#2 rack-1,iip://10.0.0.2:9090,iip://[::1]:80#100 rack-2,unix:///run/app.sock#3"
    );
    assert_eq!(parse("# nothing\n").unwrap(), []);
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, part) in [
        ("a:1\nb", "line 2"),
        ("a:1#0", "1 to 100"),
        ("a:1#", "1 to 100"),
        ("a:1 zone b:2", "commas"),
        ("a:1#2#3", "line 1"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[tokio::test]
async fn each_change_is_told_once() {
    let file = File::new();
    file.write("a:1\n");
    let mut watch = file.watch();
    assert_eq!(watch.next().await.unwrap(), "iip://a:1");
    file.replace("a:1\nb:2#3\n");
    assert_eq!(watch.next().await.unwrap(), "iip://a:1,iip://b:2#3");
    // As long as before, and within the same moment of the file system's clock.
    file.replace("a:1\nc:2#3\n");
    assert_eq!(watch.next().await.unwrap(), "iip://a:1,iip://c:2#3");
    file.write("d:4");
    assert_eq!(watch.next().await.unwrap(), "iip://d:4");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_once() {
    let file = File::new();
    let mut watch = file.watch();
    let missing = watch.next().await.expect_err("no file");
    assert!(missing.contains(&*file.0.to_string_lossy()), "{missing}");
    file.replace("a:1#");
    let broken = watch.next().await.expect_err("a mistake");
    assert!(broken.contains("line 1"), "{broken}");
    file.replace("# none yet");
    let empty = watch.next().await.expect_err("no endpoint");
    assert!(empty.contains("none"), "{empty}");
    fs::write(&file.0, [0xff, 0xfe]).expect("a file");
    watch.next().await.expect_err("no text");
    file.replace("a:1");
    assert_eq!(watch.next().await.unwrap(), "iip://a:1");
    fs::remove_file(&file.0).expect("a file");
    watch.next().await.expect_err("gone");
    file.replace("a:1");
    assert_eq!(watch.next().await.unwrap(), "iip://a:1");
}

#[tokio::test]
async fn a_file_without_end_is_refused() {
    let mut watch = WatchedFile::new("/dev/zero");
    let error = watch.next().await.expect_err("too long");
    assert!(error.to_string().contains("4 MiB"), "{error}");
}
