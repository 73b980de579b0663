//! The ways in which files are given.

use std::path::{Path, PathBuf};

/// One .proto file or several: a path, or an array, slice or vector of paths.
pub trait Protos {
    /// The paths of the files.
    fn into_paths(self) -> Vec<PathBuf>;
}

macro_rules! one_proto {
    ($($path:ty),*) => {
        $(impl Protos for $path {
            fn into_paths(self) -> Vec<PathBuf> {
                vec![PathBuf::from(self)]
            }
        })*
    };
}

one_proto!(&str, String, &String, &Path, PathBuf, &PathBuf);

impl<P: AsRef<Path>, const N: usize> Protos for [P; N] {
    fn into_paths(self) -> Vec<PathBuf> {
        self.as_slice().into_paths()
    }
}

impl<P: AsRef<Path>, const N: usize> Protos for &[P; N] {
    fn into_paths(self) -> Vec<PathBuf> {
        self.as_slice().into_paths()
    }
}

impl<P: AsRef<Path>> Protos for &[P] {
    fn into_paths(self) -> Vec<PathBuf> {
        self.iter().map(|path| path.as_ref().to_owned()).collect()
    }
}

impl<P: AsRef<Path>> Protos for Vec<P> {
    fn into_paths(self) -> Vec<PathBuf> {
        self.as_slice().into_paths()
    }
}

impl<P: AsRef<Path>> Protos for &Vec<P> {
    fn into_paths(self) -> Vec<PathBuf> {
        self.as_slice().into_paths()
    }
}
