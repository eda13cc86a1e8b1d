//! 4:4:4 by early builds of x264, which only the SEI message at the start of the stream identifies.

use std::path::Path;

use crate::common::files::access_units;
use crate::common::{bytes, data_dir, index_of, parse};
use h264mv::{Options, Picture, StreamIndex};

/// All pictures from an index rebuilt from its log, each parsed separately from the message.
fn one_by_one(data: &[u8]) -> Vec<Picture> {
    let units = access_units(data);
    let index = index_of(&units);
    let index = StreamIndex::from_log(index.log()).expect("log");
    let find =
        |sample: u64, at: u32| Some(units.get(sample as usize)?.get(at as usize)?.as_slice());
    let picture = |position| {
        let parsed = index.parse(&[position], &Options::default(), find);
        parsed.expect("picture").swap_remove(0)
    };
    (0..index.len()).map(picture).collect()
}

/// A test stream with another build number in its x264 message.
fn with_build(name: &str, build: &[u8; 3]) -> Vec<u8> {
    let mut data = std::fs::read(data_dir().join(name)).expect("stream");
    let text = b"x264 - core ";
    let at = data.windows(text.len()).position(|w| w == text);
    let at = at.expect("a message of x264") + text.len();
    data[at..at + 3].copy_from_slice(build);
    data
}

#[test]
fn build_selects_the_contexts_of_8x8_blocks() {
    for (name, differs) in [
        ("high444_8x8.264", true),
        ("high444_cavlc.264", false),
        ("high422.264", false),
        ("cabac_spatial.264", false),
    ] {
        let standard = parse(&with_build(name, b"151"), 1);
        assert!(standard.iter().all(|p| p.damage.is_none()), "{name}");
        let early = parse(&with_build(name, b"150"), 1);
        let damaged = early.iter().any(|p| p.damage.is_some());
        assert_eq!(damaged, differs, "{name}");
        let alone = one_by_one(&with_build(name, b"150"));
        for (a, b) in early.iter().zip(&alone) {
            assert_eq!(a.damage, b.damage, "{name}");
            assert!(bytes(a) == bytes(b), "{name}");
        }
    }
}

/// Build 148; the digest is of motion that matches the vectors exported by libavcodec.
#[test]
fn shared_stream_of_an_early_build_is_exact() {
    let folder = std::env::var("MOCLIP_SHARED").unwrap_or_default();
    let path = Path::new(&folder).join("videos/faults/x264_148_yuv444p_8x8dct.mp4");
    let Ok(data) = std::fs::read(&path) else {
        eprintln!(
            "skipped: MOCLIP_SHARED does not name a folder with {}",
            path.display()
        );
        return;
    };
    let pictures = parse(&data, 2);
    assert_eq!(pictures.len(), 40);
    let mut all = Vec::new();
    for (picture, alone) in pictures.iter().zip(one_by_one(&data)) {
        assert_eq!(picture.damage, None);
        assert_eq!(picture.info.x264_build, Some(148));
        assert!(bytes(picture) == bytes(&alone));
        all.extend(bytes(picture));
    }
    assert_eq!(testkit::short_sha(&all), "b2f68be42fa32900");
}
