//! Damaged data that looks like NAL units of features which the stream cannot use.

use crate::common::writer::{nal, picture, pps, slice, sps, Kind, Sequence};
use crate::common::{bytes, streams};
use bitstream::nal::AnnexB;
use h264mv::{Decoder, Error, Options, Picture, StreamIndex};

/// All pictures and the errors of single units from a decoder, compared with an index and its log.
fn decode(units: &[Vec<u8>]) -> (Vec<Picture>, Vec<Error>) {
    let mut decoder = Decoder::new(&Options::default());
    let mut index = StreamIndex::new();
    let mut errors = Vec::new();
    for (sample, nal) in units.iter().enumerate() {
        let pushed = decoder.push(nal, sample as u64);
        assert_eq!(index.push(nal, sample as u64), pushed);
        errors.extend(pushed.err());
    }
    decoder.finish();
    index.end_of_access_unit();
    let pictures: Vec<_> = std::iter::from_fn(|| decoder.next_picture()).collect();
    if !errors.iter().any(unsupported) {
        let again = StreamIndex::from_log(index.log()).expect("log");
        assert_eq!(again.len(), pictures.len());
        assert_eq!(again.errors(), index.errors());
    }
    (pictures, errors)
}

fn unsupported(error: &Error) -> bool {
    matches!(error, Error::Unsupported { .. })
}

fn units_of(data: &[u8]) -> Vec<Vec<u8>> {
    AnnexB::new(data).map(|(_, nal)| nal.to_vec()).collect()
}

/// A stray unit of any type: no picture is lost or changed, and only the previous one is damaged.
#[test]
fn stray_units_damage_one_picture() {
    let chosen = ["baseline", "cabac_temporal", "mbaff_cavlc", "hi10"];
    let all = streams().into_iter();
    for (name, data) in all.filter(|(name, _)| chosen.contains(&name.as_str())) {
        let units = units_of(&data);
        let slices = |range: &[Vec<u8>]| range.iter().any(|nal| matches!(nal[0] & 31, 1 | 5));
        let (originals, _) = decode(&units);
        let mut ends: Vec<usize> = Vec::new();
        for picture in &originals[1..] {
            ends.push(picture.info.sample as usize);
        }
        ends.push(units.len());
        // After the first, the third and the last picture; parameter sets are before the next picture.
        for place in [0, 2, ends.len() - 1] {
            let mut at = ends[place];
            while !slices(&units[at - 1..at]) {
                at -= 1;
            }
            let kinds = (0..32u8).filter(|kind| !matches!(kind, 1 | 5));
            let heads = kinds.flat_map(|kind| [kind, 0x60 | kind, 0x80 | kind]);
            for head in heads {
                // Zeros are not a legal parameter set or slice.
                let mut stray = vec![head];
                stray.extend([0; 12]);
                stray.push(head | 1);
                let mut input = units.clone();
                input.insert(at, stray);
                let (pictures, errors) = decode(&input);
                let context = format!("{name}, unit {head:#x} at {at}");
                assert!(!errors.iter().any(unsupported), "{context}: {errors:?}");
                assert_eq!(pictures.len(), originals.len(), "{context}");
                for (i, (picture, original)) in pictures.iter().zip(&originals).enumerate() {
                    assert!(
                        picture.damage.is_none() || i == place,
                        "{context}: picture {i}"
                    );
                    assert!(bytes(picture) == bytes(original), "{context}: picture {i}");
                }
                let damages = matches!(head & 31, 2..=4 | 20) || head & 0x80 != 0;
                assert_eq!(pictures[place].damage.is_some(), damages, "{context}");
            }
        }
    }
}

/// Decodes `units` after the parameter sets of a profile.
fn stream_of(profile_idc: u32, set: Vec<u8>, units: &[Vec<u8>]) -> (Vec<Picture>, Vec<Error>) {
    let sequence = Sequence {
        profile_idc,
        ..Sequence::default()
    };
    decode(&[&[sps(&sequence), set][..], units].concat())
}

fn idr() -> Vec<u8> {
    picture(Kind::Idr, 0)
}

fn p(frame_num: u32) -> Vec<u8> {
    picture(Kind::P, frame_num)
}

/// Profiles that the writer supports, and whether they are the Extended profile.
const PROFILES: [(u32, bool); 3] = [(66, false), (77, false), (88, true)];

#[test]
fn data_partitioning_requires_the_extended_profile() {
    for (profile, extended) in PROFILES {
        for kind in [2, 3, 4] {
            let partition = nal(0x60 | kind, &p(1)[1..]);
            for units in [
                vec![idr(), partition.clone(), p(1)],
                vec![partition, idr(), p(1)],
            ] {
                let (pictures, errors) = stream_of(profile, pps(1), &units);
                assert_eq!(errors.iter().any(unsupported), extended, "{profile}");
                assert_eq!(errors.len(), 1, "{profile}");
                assert_eq!(pictures.len(), 2, "{profile}");
            }
        }
    }
}

#[test]
fn switching_slices_require_the_extended_profile() {
    for (profile, extended) in PROFILES {
        for slice_type in [3, 4, 8, 9] {
            let units = [idr(), p(1), slice(Kind::P, 2, slice_type), p(3)];
            let (pictures, errors) = stream_of(profile, pps(1), &units);
            assert_eq!(errors.iter().any(unsupported), extended, "{profile}");
            assert_eq!(errors.len(), 1, "{profile}");
            assert_eq!(pictures.len(), 3, "{profile}");
            assert!(pictures[0].damage.is_none() && pictures[2].damage.is_none());
            assert!(pictures[2].info.gap, "gap of the lost picture");
        }
    }
}

#[test]
fn one_damaged_parameter_set_does_not_change_the_profile() {
    let extended = sps(&Sequence {
        profile_idc: 88,
        ..Sequence::default()
    });
    let units = [
        idr(),
        extended,
        slice(Kind::P, 1, 3),
        nal(0x62, &p(2)[1..]),
        idr(),
    ];
    let (pictures, errors) = stream_of(66, pps(1), &units);
    assert_eq!(pictures.len(), 2);
    assert_eq!(errors.len(), 2);
    assert!(!errors.iter().any(unsupported), "{errors:?}");
}

#[test]
fn slice_groups_require_a_profile_and_the_first_parameter_set() {
    for (profile, possible) in [(66, true), (77, false), (88, true)] {
        let (_, errors) = stream_of(profile, pps(2), &[idr(), p(1)]);
        assert_eq!(errors.iter().any(unsupported), possible, "{profile}");
        // A parameter set that is damaged inside the stream and sent again.
        let units = [idr(), pps(2), p(1), pps(1), p(2), p(3)];
        let (pictures, errors) = stream_of(profile, pps(1), &units);
        assert!(!errors.iter().any(unsupported), "{profile}");
        let numbers: Vec<_> = pictures.iter().map(|p| p.info.frame_num).collect();
        assert_eq!(numbers, [0, 2, 3], "{profile}");
    }
}

#[test]
fn other_views_require_a_parameter_set_or_a_matching_picture() {
    const HEADER: [u8; 3] = [0x40, 0, 0x07];
    let view = |slice: &[u8]| [&[0x74][..], &HEADER, &slice[1..]].concat();
    let mut set = sps(&Sequence {
        profile_idc: 118,
        ..Sequence::default()
    });
    set[0] = 0x6f; // a subset
    let mvc = [set, idr(), view(&[0x61, 0, 0, 0])];
    let (_, errors) = stream_of(66, pps(1), &mvc);
    assert!(errors.iter().any(unsupported), "{errors:?}");
    let (_, errors) = stream_of(66, pps(1), &[idr(), p(1), view(&p(1))]);
    assert!(errors.iter().any(unsupported), "{errors:?}");
    for other in [
        view(&p(2)),
        view(&[0x61, 0, 0]),
        vec![0x74, 0x40],
        vec![0x74],
    ] {
        let (pictures, errors) = stream_of(66, pps(1), &[idr(), p(1), other, p(2)]);
        assert!(!errors.iter().any(unsupported), "{errors:?}");
        assert_eq!(pictures.len(), 3);
    }
    // A layer of scalable coding is ignored.
    let layer = [&[0x74, 0xc0, 0, 0x07][..], &p(1)[1..]].concat();
    let (pictures, errors) = stream_of(66, pps(1), &[idr(), p(1), layer, p(2)]);
    assert!(errors.is_empty() && pictures.iter().all(|p| p.damage.is_none()));
}
