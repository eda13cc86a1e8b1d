//! Helpers of the parsers' tests and development tools; nothing here knows a codec.
//!
//! - [`mp4`]: minimal reader of MP4 files.
//! - [`bits`]: writer of RBSPs and NAL units.
//! - [`mutation`]: random damage.
//! - [`tools`]: command lines of the development tools.
//! - [`pictures()`]: all pictures of a stream.
#![forbid(unsafe_code)]

pub mod bits;
pub mod mp4;
pub mod mutation;
mod pictures;
pub mod tools;

use std::path::{Path, PathBuf};

pub use pictures::pictures;
use sha2::{Digest, Sha256};

/// The first 16 hex digits of the SHA-256 of `data`.
pub fn short_sha(data: &[u8]) -> String {
    let digest = Sha256::digest(data);
    digest[..8].iter().map(|b| format!("{b:02x}")).collect()
}

/// Rows of a CSV file, without the header.
pub fn csv_rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).expect("read CSV file");
    let rows = text.lines().skip(1);
    rows.map(|l| l.split(',').map(String::from).collect())
        .collect()
}

/// Name and bytes of the streams in `folder` with file names that end in `extension`.
pub fn streams(folder: &Path, extension: &str) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("folder of streams")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        (name.into_owned(), std::fs::read(path).expect("stream"))
    };
    paths.iter().map(read).collect()
}
