//! Test streams: digests, threads, random access, truncation.

use std::fmt::Write as _;

use crate::common::{bytes, data_dir, parse, parse_with, streams};
use bitstream::nal::AnnexB;
use h264mv::{nal_unit_type, Options, StreamIndex};

fn digests() -> String {
    let mut text = String::from("stream,decode_index,poc,sha\n");
    for (name, data) in streams() {
        for p in parse(&data, 1) {
            assert_eq!(p.damage, None, "{name}");
            let sha = testkit::short_sha(&bytes(&p));
            let _ = writeln!(text, "{name},{},{},{sha}", p.info.decode_index, p.info.poc);
        }
    }
    text
}

#[test]
fn test_streams_match_their_digests() {
    let expected = std::fs::read_to_string(data_dir().join("digests.csv")).expect("digests");
    assert_eq!(digests(), expected);
}

#[test]
#[ignore = "rewrites the digests"]
fn write_digests() {
    std::fs::write(data_dir().join("digests.csv"), digests()).expect("write digests");
}

#[test]
fn threads_do_not_change_motion() {
    for (name, data) in streams() {
        let one: Vec<_> = parse(&data, 1).iter().map(bytes).collect();
        let three: Vec<_> = parse(&data, 3).iter().map(bytes).collect();
        assert!(one == three, "{name}");
    }
}

#[test]
fn slice_data_of_intra_pictures_can_be_skipped() {
    let options = Options {
        intra: false,
        ..Options::default()
    };
    let mut num_damaged = 0;
    for (name, mut data) in streams() {
        let full = parse(&data, 1);
        let check = |data: &[u8]| {
            let equal = parse_with(data, &options)
                .iter()
                .map(bytes)
                .eq(full.iter().map(bytes));
            assert!(equal, "{name}");
        };
        check(&data);
        // The data of the first IDR slice is overwritten: it is not read.
        let start = AnnexB::new(&data).find(|(_, nal)| nal[0] & 31 == nal_unit_type::IDR_SLICE);
        let (at, length) = start.map(|(at, nal)| (at, nal.len())).expect("IDR slice");
        data[at + length / 2..at + length].fill(0xa5);
        check(&data);
        num_damaged += parse(&data, 1)[0].damage.is_some() as usize;
    }
    assert!(num_damaged > 0, "parsing detects the overwritten data");
}

#[test]
fn chosen_pictures_equal_those_of_a_full_pass() {
    for (name, data) in streams() {
        let units: Vec<&[u8]> = AnnexB::new(&data).map(|(_, nal)| nal).collect();
        let mut index = StreamIndex::new();
        for (i, nal) in units.iter().enumerate() {
            index.push(nal, i as u64).expect("index");
        }
        index.end_of_access_unit();
        let index = StreamIndex::from_log(index.log()).expect("index");
        let full = parse(&data, 1);
        assert_eq!(index.len(), full.len(), "{name}");
        for chosen in [vec![full.len() - 1, 0, 1], vec![2, 2], vec![3]] {
            let units = |sample: u64, _: u32| units.get(sample as usize).copied();
            for intra in [true, false] {
                let options = Options {
                    intra,
                    ..Options::default()
                };
                let pictures = index.parse(&chosen, &options, units).expect("pictures");
                for (&i, picture) in chosen.iter().zip(&pictures) {
                    assert_eq!(picture.damage, None, "{name}");
                    assert_eq!(picture.info.poc, full[i].info.poc, "{name}");
                    assert!(bytes(picture) == bytes(&full[i]), "{name} picture {i}");
                }
            }
        }
    }
}

#[test]
fn truncation_is_reported() {
    let step = std::env::var("TRUNCATION_STEP")
        .ok()
        .and_then(|n| n.parse().ok());
    for (name, data) in streams() {
        let full = parse(&data, 1);
        for cut in (0..data.len()).step_by(step.unwrap_or(13)) {
            for (p, original) in parse(&data[..cut], 1).iter().zip(&full) {
                let same = bytes(p) == bytes(original);
                assert!(
                    p.damage.is_some() || same,
                    "{name} cut at {cut}: {:?}",
                    p.info
                );
            }
        }
    }
}

#[test]
fn pictures_that_depend_on_damage_are_reported() {
    for (name, data) in streams() {
        let units: Vec<&[u8]> = AnnexB::new(&data).map(|(_, nal)| nal).collect();
        let full = parse(&data, 1);
        for broken in (0..units.len()).filter(|&i| units[i].len() > 60 && units[i][0] & 31 < 6) {
            let mut decoder = h264mv::Decoder::new(&Options::default());
            for (i, nal) in units.iter().enumerate() {
                let end = if i == broken { 40 } else { nal.len() };
                let _ = decoder.push(&nal[..end], 0);
            }
            decoder.finish();
            let pictures: Vec<_> = std::iter::from_fn(|| decoder.next_picture()).collect();
            assert!(
                pictures.iter().any(|p| p.damage.is_some()),
                "{name} unit {broken}"
            );
            for (p, original) in pictures.iter().zip(&full) {
                let same = bytes(p) == bytes(original);
                assert!(
                    p.damage.is_some() || same,
                    "{name} unit {broken}: {:?}",
                    p.info
                );
            }
        }
    }
}
