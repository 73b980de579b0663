//! A folder that nothing leads out of, whatever names are asked for.
//!
//! Every component of a name is opened relative to the one before, and never through a symbolic link. So there is no
//! moment between a check and its use in which somebody could put a link in between.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags};
use sha2::{Digest, Sha256};

/// What a file is called until it is complete: its name and this.
const PARTIAL: &str = ".iip-part";
/// Longest name of one component, bytes: what file systems allow, less [`PARTIAL`].
const MAX_COMPONENT: usize = 255 - PARTIAL.len();
/// Longest name in all, bytes.
const MAX_NAME: usize = 1024;
/// Read at a time to compute a digest, bytes.
const PIECE: usize = 256 * 1024;

/// A folder whose files are served. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Folder(Arc<OwnedFd>);

/// A file that is not complete yet, for its one writer. Dropping it keeps what there is for the next one.
#[derive(Debug)]
pub struct Partial {
    folder: OwnedFd,
    name: String,
    file: File,
    len: u64,
    completed: bool,
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The folders and the last component of a name.
fn split(name: &str) -> io::Result<(Vec<&str>, &str)> {
    if name.len() > MAX_NAME {
        return Err(invalid("the name is too long"));
    }
    let mut components: Vec<&str> = name.split('/').collect();
    for component in &components {
        if matches!(*component, "" | "." | "..") {
            return Err(invalid("the name is not a path inside the folder"));
        }
        if component.len() > MAX_COMPONENT {
            return Err(invalid("a component of the name is too long"));
        }
        if component.chars().any(char::is_control) {
            return Err(invalid("the name has control characters"));
        }
        if component.ends_with(PARTIAL) {
            return Err(invalid("names with this ending are reserved"));
        }
    }
    let last = components.pop().unwrap_or_default();
    Ok((components, last))
}

/// Opens a regular file and nothing else; anything else is not even opened, unless it takes a file's place just then.
fn regular(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let refused = || io::Error::new(io::ErrorKind::PermissionDenied, "not a regular file");
    let is_file = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if !is_file(found.st_mode) => return Err(refused()),
        Err(rustix::io::Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
        found => {
            found?;
        }
    }
    // NONBLOCK: opening a FIFO waits for its other end otherwise. It means nothing for regular files.
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
    if !is_file(fs::fstat(&file)?.st_mode) {
        return Err(refused());
    }
    Ok(File::from(file))
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    ///
    /// It is not there, is not a folder, or must not be read.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path.as_ref(), flags, Mode::empty())?;
        Ok(Self(Arc::new(folder)))
    }

    /// The folder that a name is in, and its last component.
    fn parent<'a>(&self, name: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (folders, last) = split(name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = self.0.try_clone()?;
        for component in folders {
            folder = fs::openat(&folder, component, flags, Mode::empty())?;
        }
        Ok((folder, last))
    }

    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: the name is not one. `PermissionDenied`: it is no regular file. Others as the system says; a
    /// symbolic link on the way to it is an error.
    pub fn read(&self, name: &str) -> io::Result<File> {
        let (folder, last) = self.parent(name)?;
        regular(&folder, last, OFlags::RDONLY)
    }

    /// How many bytes are kept of a file that is not complete; 0 if none.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn kept(&self, name: &str) -> io::Result<u64> {
        let (folder, last) = self.parent(name)?;
        match regular(&folder, &format!("{last}{PARTIAL}"), OFlags::RDONLY) {
            Ok(file) => Ok(file.metadata()?.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Opens what is kept of a file that is not complete, to go on with it.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read). `WouldBlock`: somebody else, in this process or another, is writing it.
    pub fn partial(&self, name: &str) -> io::Result<Partial> {
        let (folder, last) = self.parent(name)?;
        let partial = format!("{last}{PARTIAL}");
        let file = regular(&folder, &partial, OFlags::RDWR | OFlags::CREATE)?;
        fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // The one who had the lock may have completed the file meanwhile: then this is the file, not the partial one.
        let ours = fs::fstat(&file)?;
        let there = fs::statat(&folder, &partial, AtFlags::SYMLINK_NOFOLLOW);
        if !there.is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = file.metadata()?.len();
        Ok(Partial {
            folder,
            name: last.into(),
            file,
            len,
            completed: false,
        })
    }
}

impl Partial {
    /// Bytes kept.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The digest of everything kept, to be gone on with.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn digest(&mut self) -> io::Result<Sha256> {
        digest(&mut self.file, self.len)
    }

    /// Reads from `at` on.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read_at(&mut self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(at))?;
        read_some(&mut self.file, most)
    }

    /// Writes at the end.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.write_all(data)?;
        self.len += data.len() as u64;
        Ok(())
    }

    /// Forgets everything from `len` on.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        if len < self.len {
            self.file.set_len(len)?;
            self.len = len;
        }
        Ok(())
    }

    /// Gives the file its name, in place of what had it before: there is the old file or the whole new one, also after
    /// a loss of power.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or a folder has its name.
    pub fn complete(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let partial = format!("{}{PARTIAL}", self.name);
        fs::renameat(&self.folder, &partial, &self.folder, &self.name)?;
        self.completed = true;
        fs::fsync(&self.folder)?;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.len == 0 && !self.completed {
            // Nothing is lost if it stays.
            let partial = format!("{}{PARTIAL}", self.name);
            let _ = fs::unlinkat(&self.folder, partial, AtFlags::empty());
        }
    }
}

/// The next bytes: `most`, or fewer at the end of the file.
///
/// # Errors
///
/// The file cannot be read.
pub fn read_some(file: &mut File, most: usize) -> io::Result<Vec<u8>> {
    let mut data = Vec::with_capacity(most);
    file.take(most as u64).read_to_end(&mut data)?;
    Ok(data)
}

/// The digest of the first `len` bytes, after which the file stands then.
///
/// # Errors
///
/// The file cannot be read, or is shorter.
pub fn digest(file: &mut File, len: u64) -> io::Result<Sha256> {
    file.seek(SeekFrom::Start(0))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut left = len;
    while left > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = file.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        digest.update(&buffer[..read]);
        left -= read as u64;
    }
    Ok(digest)
}
