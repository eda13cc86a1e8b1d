//! Helpers of the development tools, the benchmark and the tests.
#![allow(dead_code)]

pub mod golden;

use h264mv::{AvcConfig, Decoder, Options, Picture};

/// NAL units of each access unit of an MP4 file; a byte stream is returned as one access unit.
pub fn access_units(data: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let parse = |record: &[u8]| {
        let config = AvcConfig::parse(record).ok()?;
        Some((config.parameter_sets, config.length_size))
    };
    testkit::mp4::access_units(data, b"avcC", parse).expect("an H.264 track")
}

/// Parses access units; calls `each` for every picture and returns the errors of single NAL units.
pub fn parse(
    access_units: &[Vec<Vec<u8>>],
    options: &Options,
    mut each: impl FnMut(&Picture),
) -> Vec<h264mv::Error> {
    let mut decoder = Decoder::new(options);
    let mut errors = Vec::new();
    let mut take = |decoder: &mut Decoder| {
        while let Some(picture) = decoder.next_picture() {
            each(&picture);
            decoder.recycle(picture);
        }
    };
    for (sample, access_unit) in access_units.iter().enumerate() {
        for nal in access_unit {
            errors.extend(decoder.push(nal, sample as u64).err());
        }
        decoder.end_of_access_unit();
        take(&mut decoder);
    }
    decoder.finish();
    take(&mut decoder);
    errors
}
