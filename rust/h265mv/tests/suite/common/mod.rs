//! Helpers of the integration tests.

pub mod cabac;
#[path = "../../../examples/common/mod.rs"]
pub mod files;
pub mod properties;
pub mod writer;

use std::path::{Path, PathBuf};

use bitstream::nal::AnnexB;
use h265mv::{Decoder, Error, Options, Picture, StreamIndex};

pub fn data_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Name and bytes of the test streams.
pub fn streams() -> Vec<(String, Vec<u8>)> {
    testkit::streams(&data_dir(), "hevc")
}

/// All pictures of a byte stream.
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
    files::parse(&[units_of(data)], options, |picture| {
        pictures.push(picture.clone())
    });
    pictures
}

/// The NAL units of a byte stream.
pub fn units_of(data: &[u8]) -> Vec<Vec<u8>> {
    AnnexB::new(data).map(|(_, nal)| nal.to_vec()).collect()
}

/// nal_unit_type.
pub fn kind(nal: &[u8]) -> u8 {
    nal[0] >> 1 & 63
}

/// Whether a NAL unit is a slice segment.
pub fn is_slice(nal: &[u8]) -> bool {
    kind(nal) < 32
}

/// Whether a NAL unit is the first slice segment of its picture.
pub fn starts_picture(nal: &[u8]) -> bool {
    is_slice(nal) && nal.get(2).is_some_and(|b| b & 0x80 != 0)
}

/// The motion of a picture as bytes, to compare pictures.
pub fn bytes(p: &Picture) -> Vec<u8> {
    files::golden::arrays(p).concat()
}

/// All pictures and the errors of single units from a decoder. The pictures of an index that was saved, all
/// parsed at once, must be equal. The number of a unit is its sample.
pub fn decode(units: &[Vec<u8>]) -> (Vec<Picture>, Vec<Error>) {
    let mut decoder = Decoder::new(&Options::default());
    let mut index = StreamIndex::new();
    let mut errors = Vec::new();
    let mut pictures = Vec::new();
    for (sample, nal) in units.iter().enumerate() {
        let pushed = decoder.push(nal, sample as u64);
        assert_eq!(index.push(nal, sample as u64), pushed);
        errors.extend(pushed.err());
        pictures.extend(std::iter::from_fn(|| decoder.next_picture()));
    }
    decoder.finish();
    index.end_of_access_unit();
    pictures.extend(std::iter::from_fn(|| decoder.next_picture()));
    if !errors.iter().any(is_unsupported) {
        let saved = StreamIndex::from_log(index.log()).expect("log");
        assert_eq!(saved.errors(), index.errors());
        let positions: Vec<usize> = (0..saved.len()).collect();
        let unit = |sample: u64, _: u32| units.get(sample as usize).map(Vec::as_slice);
        let alone = saved.parse(&positions, &Options::default(), unit);
        let alone = alone.expect("pictures");
        assert_eq!(alone.len(), pictures.len());
        for (a, b) in alone.iter().zip(&pictures) {
            assert_eq!(a.damage, b.damage);
            assert_eq!((a.info.poc, a.info.period), (b.info.poc, b.info.period));
            assert!(bytes(a) == bytes(b));
        }
    }
    (pictures, errors)
}

pub fn is_unsupported(error: &Error) -> bool {
    matches!(error, Error::Unsupported { .. })
}

/// Compares pictures of a damaged stream with the original ones of the same units (`sample`): differences
/// must be reported. Returns the number of equal and of damaged pictures.
pub fn check_damage(originals: &[Picture], pictures: &[Picture], context: &str) -> [usize; 2] {
    let mut counts = [0; 2];
    for picture in pictures {
        let at = format!("{context}: unit {}", picture.info.sample);
        let mut same_unit = originals.iter();
        let original = same_unit.find(|o| o.info.sample == picture.info.sample);
        let equal = original.is_some_and(|o| bytes(o) == bytes(picture));
        assert!(picture.damage.is_some() || equal, "{at}");
        counts[picture.damage.is_some() as usize] += 1;
    }
    counts
}
