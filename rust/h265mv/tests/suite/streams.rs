//! Test streams: digests, threads, random access.

use std::fmt::Write as _;

use crate::common::{bytes, data_dir, kind, parse, parse_with, streams, units_of};
use bitstream::nal::AnnexB;
use h265mv::{Options, StreamIndex};

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
    for (name, mut data) in streams() {
        let full = parse(&data, 1);
        let check = |data: &[u8]| {
            let skipped = parse_with(data, &options);
            let equal = skipped.iter().map(bytes).eq(full.iter().map(bytes));
            assert!(equal, "{name}");
        };
        check(&data);
        // The data of the first IRAP picture is overwritten: it is not read.
        let start = AnnexB::new(&data).find(|(_, nal)| (16..22).contains(&kind(nal)));
        let (at, length) = start.map(|(at, nal)| (at, nal.len())).expect("IRAP");
        data[at + length / 2..at + length].fill(0xa5);
        check(&data);
        assert!(parse(&data, 1)[0].damage.is_some(), "{name}");
    }
}

#[test]
fn chosen_pictures_equal_those_of_a_full_pass() {
    for (name, data) in streams() {
        let units = units_of(&data);
        let mut index = StreamIndex::new();
        for (i, nal) in units.iter().enumerate() {
            index.push(nal, i as u64).expect("index");
        }
        index.end_of_access_unit();
        let index = StreamIndex::from_log(index.log()).expect("index");
        let full = parse(&data, 1);
        assert_eq!(index.len(), full.len(), "{name}");
        for chosen in [vec![full.len() - 1, 0, 1], vec![2, 2], vec![3]] {
            let unit = |sample: u64, _: u32| units.get(sample as usize).map(Vec::as_slice);
            for (threads, intra) in [(1, true), (2, false)] {
                let options = Options { threads, intra };
                let pictures = index.parse(&chosen, &options, unit).expect("pictures");
                for (&i, picture) in chosen.iter().zip(&pictures) {
                    assert_eq!(picture.damage, None, "{name}");
                    assert_eq!(picture.info.poc, full[i].info.poc, "{name}");
                    assert!(bytes(picture) == bytes(&full[i]), "{name} picture {i}");
                }
            }
        }
    }
}
