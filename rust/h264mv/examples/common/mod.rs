//! Helpers of the development tools, the benchmark and the tests.
#![allow(dead_code)]

pub mod golden;
pub mod mp4;

use h264mv::{Decoder, Options, Picture};

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
