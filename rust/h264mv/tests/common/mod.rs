//! Helpers of the integration tests.
#![allow(dead_code)]

#[path = "../../examples/common/mod.rs"]
pub mod files;
pub mod properties;
pub mod writer;

use std::path::{Path, PathBuf};

use h264mv::{Decoder, Options, Picture};

pub fn data_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The crate's own small streams: name and bytes.
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

pub fn parse(data: &[u8], threads: usize) -> Vec<Picture> {
    let options = Options {
        threads,
        ..Options::default()
    };
    parse_with(data, &options)
}

pub fn parse_with(data: &[u8], options: &Options) -> Vec<Picture> {
    let mut decoder = Decoder::new(options);
    let mut pictures = Vec::new();
    for unit in files::access_units(data) {
        for nal in unit {
            let _ = decoder.push(&nal, 0);
        }
        decoder.end_of_access_unit();
    }
    decoder.finish();
    while let Some(picture) = decoder.next_picture() {
        pictures.push(picture);
    }
    pictures
}

/// The arrays of a picture as bytes: vectors, reference indices, and what `poc` makes of each POC.
pub fn arrays(p: &Picture, poc: impl Fn(i32) -> i32) -> [Vec<u8>; 3] {
    let mv = p.motion.mv().iter().flatten();
    let refs = p.motion.ref_idx().iter();
    let pocs = p.ref_poc.values().iter();
    [
        mv.flat_map(|v| v.to_le_bytes()).collect(),
        refs.map(|&r| r as u8).collect(),
        pocs.flat_map(|&v| poc(v).to_le_bytes()).collect(),
    ]
}

/// Bytes that tell two motions apart.
pub fn bytes(p: &Picture) -> Vec<u8> {
    arrays(p, |poc| poc).concat()
}
