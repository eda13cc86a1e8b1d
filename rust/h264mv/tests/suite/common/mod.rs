//! Helpers of the integration tests.

#[path = "../../../examples/common/mod.rs"]
pub mod files;
pub mod properties;
pub mod writer;

use std::path::{Path, PathBuf};

use h264mv::{Options, Picture, StreamIndex};

pub fn data_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Name and bytes of the test streams.
pub fn streams() -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(data_dir())
        .expect("tests/data")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "264"))
        .collect();
    names.sort();
    let read = |p: &PathBuf| {
        let name = p
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read(p).expect("stream"))
    };
    names.iter().map(read).collect()
}

/// All pictures of a file.
pub fn parse(data: &[u8], threads: usize) -> Vec<Picture> {
    let options = Options {
        threads,
        ..Options::default()
    };
    parse_with(data, &options)
}

/// As [`parse`], with options.
pub fn parse_with(data: &[u8], options: &Options) -> Vec<Picture> {
    let mut pictures = Vec::new();
    let access_units = files::mp4::access_units(data);
    files::parse(&access_units, options, |picture| {
        pictures.push(picture.clone())
    });
    pictures
}

/// The motion of a picture as bytes, to compare pictures.
pub fn bytes(p: &Picture) -> Vec<u8> {
    files::golden::arrays(p, false).concat()
}

/// An index of access units, numbered from 0.
pub fn index_of(access_units: &[Vec<Vec<u8>>]) -> StreamIndex {
    let mut index = StreamIndex::new();
    for (sample, access_unit) in access_units.iter().enumerate() {
        for nal in access_unit {
            index.push(nal, sample as u64).expect("unit");
        }
        index.end_of_access_unit();
    }
    index
}
