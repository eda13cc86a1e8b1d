//! Why the tables of a file are not used.

use std::fmt;
use std::io;

/// Why the tables of a file are not used.
#[derive(Debug)]
pub enum Error {
    /// The file can't be read.
    Io(io::Error),
    /// The tables contradict themselves or the file, or need rules that only libavformat has; says which.
    Unfit(&'static str),
}

/// Result of the functions of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Unfit(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {}

/// Fails with `reason` unless `condition` holds.
pub(crate) fn require(condition: bool, reason: &'static str) -> Result<()> {
    match condition {
        true => Ok(()),
        false => Err(Error::Unfit(reason)),
    }
}
