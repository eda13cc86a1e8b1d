//! Streams that begin inside a group of pictures, and streams with lost pictures.

use crate::common::{files::golden, streams};
use bitstream::nal::AnnexB;
use h264mv::{nal_unit_type, Decoder, Error, Options, Picture, StreamIndex};

type AccessUnit = Vec<Vec<u8>>;

/// All pictures of access units; chosen pictures of an index must be equal. `sample` of a picture is the
/// number of its access unit in the original stream.
fn decode(access_units: &[(usize, AccessUnit)]) -> Vec<Picture> {
    let mut decoder = Decoder::new(&Options::default());
    let mut index = StreamIndex::new();
    for (sample, nals) in access_units {
        for nal in nals {
            let pushed = decoder.push(nal, *sample as u64);
            assert_eq!(index.push(nal, *sample as u64), pushed);
        }
        decoder.end_of_access_unit();
        index.end_of_access_unit();
    }
    decoder.finish();
    let pictures: Vec<_> = std::iter::from_fn(|| decoder.next_picture()).collect();
    let index = StreamIndex::from_log(index.log()).expect("log");
    let find = |sample: u64, at: u32| {
        let unit = access_units.iter().find(|(s, _)| *s as u64 == sample)?;
        Some(unit.1.get(at as usize)?.as_slice())
    };
    let chosen = [pictures.len() / 2, pictures.len() - 1];
    let alone = index.parse(&chosen, &Options::default(), find);
    for (&position, picture) in chosen.iter().zip(&alone.expect("pictures")) {
        assert_eq!(picture.damage, pictures[position].damage);
        assert_eq!(motion(picture), motion(&pictures[position]));
    }
    pictures
}

/// Vectors, reference indices, and distances to references in PicOrderCnt.
fn motion(p: &Picture) -> [Vec<u8>; 3] {
    golden::arrays(p, true)
}

/// Compares the pictures of an incomplete stream with the original ones; only reported differences are
/// allowed. Returns the number of exact, uncertain and damaged pictures.
fn check(originals: &[Picture], pictures: &[Picture], context: &str) -> [usize; 3] {
    let mut counts = [0; 3];
    let original = |p: &Picture| originals.iter().find(|w| w.info.sample == p.info.sample);
    for picture in pictures {
        let at = format!("{context}, access unit {}", picture.info.sample);
        let (actual, expected) = (motion(picture), motion(original(picture).expect("picture")));
        match &picture.damage {
            Some(Error::LostReference { .. }) => counts[2] += 1,
            Some(other) => panic!("{at}: {other}"),
            None if picture.lost_reference => {
                assert!(actual[..2] == expected[..2], "{at}: vectors or indices");
                counts[1] += 1;
            }
            None => {
                assert!(actual == expected, "{at}");
                counts[0] += 1;
            }
        }
    }
    counts
}

fn holds(nals: &AccessUnit, kind: u8) -> bool {
    nals.iter().any(|nal| nal[0] & 31 == kind)
}

/// Pictures after the first recovery point in output order must be exact.
fn check_recovery(pictures: &[Picture], context: &str) {
    let Some(first) = pictures
        .iter()
        .position(|p| p.info.recovery_frame_cnt == Some(0))
    else {
        return;
    };
    let order = |p: &Picture| (p.info.period, p.info.order_poc);
    for picture in &pictures[first..] {
        let exact = picture.damage.is_none() && !picture.lost_reference;
        let leading = order(picture) < order(&pictures[first]);
        assert!(exact || leading, "{context}: {:?}", picture.info);
    }
}

/// An access unit starts with the units before its first slice, or with that slice.
fn access_units(data: &[u8]) -> Vec<AccessUnit> {
    let mut units: Vec<AccessUnit> = Vec::new();
    let mut sliced = true;
    for (_, nal) in AnnexB::new(data) {
        let slice = matches!(nal[0] & 31, nal_unit_type::SLICE | nal_unit_type::IDR_SLICE);
        if sliced && (!slice || nal[1] & 0x80 != 0) {
            units.push(Vec::new());
        }
        sliced = slice;
        units.last_mut().expect("unit").push(nal.to_vec());
    }
    units
}

/// Parameter sets, and numbered access units.
fn numbered(data: &[u8]) -> (AccessUnit, Vec<(usize, AccessUnit)>) {
    let units = access_units(data);
    let is_set = |nal: &&Vec<u8>| matches!(nal[0] & 31, nal_unit_type::SPS | nal_unit_type::PPS);
    let sets = units.iter().flatten().filter(is_set).cloned().collect();
    (sets, units.into_iter().enumerate().collect())
}

#[test]
fn stream_begins_inside_a_group_of_pictures() {
    let mut total = [0; 3];
    for (name, data) in streams() {
        let (sets, units) = numbered(&data);
        let originals = decode(&units);
        for start in 1..units.len() {
            let mut remaining = units[start..].to_vec();
            remaining[0].1.splice(0..0, sets.clone());
            let context = format!("{name} from {start}");
            let pictures = decode(&remaining);
            assert_eq!(pictures.len(), remaining.len(), "{context}");
            assert!(!pictures[0].info.gap, "{context}");
            check_recovery(&pictures, &context);
            let counts = check(&originals, &pictures, &context);
            (0..3).for_each(|i| total[i] += counts[i]);
        }
    }
    assert!(total.iter().all(|&n| n > 20), "{total:?}");
}

#[test]
fn one_access_unit_is_lost() {
    let mut total = [0; 3];
    for (name, data) in streams() {
        let (sets, units) = numbered(&data);
        let originals = decode(&units);
        for lost in 0..units.len() - 1 {
            // Without its IDR picture, a group of pictures looks like a part of the previous one.
            if holds(&units[lost].1, nal_unit_type::IDR_SLICE) {
                continue;
            }
            let mut remaining = units.clone();
            remaining.remove(lost);
            if lost == 0 {
                remaining[0].1.splice(0..0, sets.clone());
            }
            let context = format!("{name} without {lost}");
            let pictures = decode(&remaining);
            assert_eq!(pictures.len(), remaining.len(), "{context}");
            let counts = check(&originals, &pictures, &context);
            (0..3).for_each(|i| total[i] += counts[i]);
            let gap = lost > 0
                && originals[lost].info.reference
                && !holds(&units[lost + 1].1, nal_unit_type::IDR_SLICE);
            assert_eq!(pictures.iter().any(|p| p.info.gap), gap, "{context}");
        }
    }
    assert!(total.iter().all(|&n| n > 20), "{total:?}");
}
