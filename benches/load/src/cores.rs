//! On which cores a program runs.

use std::io;

/// Confines the calling thread, and every thread that it starts from now on, to the first `cores` of the cores that it
/// may use. A client and a server with the same number share the same cores.
///
/// # Errors
///
/// There are not so many, or none is asked for; the system is not Linux.
#[cfg(target_os = "linux")]
pub(crate) fn confine(cores: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let allowed = sched_getaffinity(None)?;
    let mut first = CpuSet::new();
    let numbers = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    numbers.take(cores).for_each(|core| first.set(core));
    if cores == 0 || first.count() as usize != cores {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "--cores {cores}: there are {} to choose from",
                allowed.count()
            ),
        ));
    }
    Ok(sched_setaffinity(None, &first)?)
}

/// As on Linux.
///
/// # Errors
///
/// Always.
#[cfg(not(target_os = "linux"))]
pub(crate) fn confine(_cores: usize) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "--cores needs Linux",
    ))
}
