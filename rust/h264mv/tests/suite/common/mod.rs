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
    testkit::streams(&data_dir(), "264")
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
    let access_units = files::access_units(data);
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
