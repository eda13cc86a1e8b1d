//! Helpers of the development tools and the tests.
#![allow(dead_code)]

pub mod golden;

use h265mv::{Decoder, Error, HevcConfig, Options, Picture};

/// NAL units of each access unit of an MP4 file; a byte stream is returned as one access unit. None for
/// other containers.
pub fn access_units(data: &[u8]) -> Option<Vec<Vec<Vec<u8>>>> {
    let parse = |record: &[u8]| {
        let config = HevcConfig::parse(record).ok()?;
        Some((config.units, config.length_size))
    };
    testkit::mp4::access_units(data, b"hvcC", parse)
}

/// Parses access units; calls `each` for every picture and returns the errors of single NAL units.
pub fn parse(
    access_units: &[Vec<Vec<u8>>],
    options: &Options,
    mut each: impl FnMut(&Picture),
) -> Vec<Error> {
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
            take(&mut decoder);
        }
        decoder.end_of_access_unit();
    }
    decoder.finish();
    take(&mut decoder);
    errors
}
