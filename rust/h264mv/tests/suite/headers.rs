//! Header information of streams and pictures.

use crate::common::writer::{picture, pps, recovery_point, sps, x264_message, Kind, Sequence};
use crate::common::{index_of, parse, streams};
use h264mv::{PictureInfo, Sps, StreamIndex};

/// An index of access units, and the index rebuilt from its log.
fn indexes_of(access_units: &[Vec<Vec<u8>>]) -> [StreamIndex; 2] {
    let index = index_of(access_units);
    let rebuilt = StreamIndex::from_log(index.log()).expect("log");
    [index, rebuilt]
}

fn infos(index: &StreamIndex) -> Vec<PictureInfo> {
    (0..index.len())
        .filter_map(|i| index.info(i).cloned())
        .collect()
}

fn parameter_sets() -> [Vec<u8>; 2] {
    [sps(&Sequence::default()), pps(1)]
}

#[test]
fn recovery_points_belong_to_one_picture() {
    let [set, pictures] = parameter_sets();
    let access_units = [
        // An IDR picture with a message, which does not apply to the next picture.
        vec![set, pictures, recovery_point(5), picture(Kind::Idr, 0)],
        vec![picture(Kind::P, 1)],
        vec![recovery_point(3), picture(Kind::P, 2)],
        vec![picture(Kind::P, 3)],
        // A message without its picture.
        vec![recovery_point(0)],
        vec![picture(Kind::P, 4)],
        vec![recovery_point(0), picture(Kind::I, 5)],
        // The same with an access unit delimiter instead of a sample boundary.
        vec![recovery_point(0), vec![9, 0xf0], picture(Kind::P, 6)],
    ];
    let expected = [Some(0), None, Some(3), None, None, Some(0), None];
    for index in indexes_of(&access_units) {
        let infos = infos(&index);
        let counts: Vec<_> = infos.iter().map(|i| i.recovery_frame_cnt).collect();
        assert_eq!(counts, expected);
        let keys: Vec<_> = infos.iter().map(|i| i.is_keyframe()).collect();
        assert_eq!(keys, [true, false, false, false, false, true, false]);
        let numbers: Vec<_> = infos.iter().map(|i| i.frame_num).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn recovery_point_of_a_damaged_picture_is_dropped() {
    let [set, pictures] = parameter_sets();
    let mut index = StreamIndex::new();
    for nal in [set, pictures, picture(Kind::Idr, 0), recovery_point(0)] {
        index.push(&nal, 0).expect("unit");
    }
    // A slice of picture parameter set 2, which does not exist.
    index
        .push(&[0x61, 0b1010_0110], 1)
        .expect_err("unknown set");
    index.push(&picture(Kind::P, 1), 2).expect("picture");
    index.end_of_access_unit();
    let keys: Vec<_> = infos(&index).iter().map(|i| i.is_keyframe()).collect();
    assert_eq!(keys, [true, false]);
}

#[test]
fn x264_build_applies_from_its_message_on() {
    let [set, pictures] = parameter_sets();
    let options = " r2 - options: cabac=1".repeat(40);
    let access_units = [
        vec![set, pictures, picture(Kind::Idr, 0)],
        vec![x264_message(148, &options), picture(Kind::P, 1)],
        vec![picture(Kind::P, 2)],
        vec![x264_message(152, ""), picture(Kind::Idr, 0)],
    ];
    for index in indexes_of(&access_units) {
        assert!(index.log().len() < 400, "options are not saved");
        let builds: Vec<_> = infos(&index).iter().map(|i| i.x264_build).collect();
        assert_eq!(builds, [None, Some(148), Some(148), Some(152)]);
    }
}

#[test]
fn gaps_in_frame_num_are_reported() {
    for gaps_allowed in [false, true] {
        let sequence = Sequence {
            gaps_allowed,
            ..Sequence::default()
        };
        let mut first = vec![sps(&sequence), pps(1)];
        first.push(picture(Kind::Idr, 0));
        let mut access_units = vec![first];
        let numbers = [1, 2, 5, 6, 15, 0, 2];
        access_units.extend(numbers.map(|n| vec![picture(Kind::P, n)]));
        access_units.push(vec![picture(Kind::Idr, 0)]);
        for index in indexes_of(&access_units) {
            let infos = infos(&index);
            let gaps: Vec<_> = infos
                .iter()
                .filter(|i| i.gap)
                .map(|i| i.frame_num)
                .collect();
            assert_eq!(gaps, [5, 15, 2]);
            let allowed = infos[0].sps.gaps_in_frame_num_value_allowed_flag;
            assert_eq!(allowed, gaps_allowed);
        }
    }
}

fn parsed(sequence: &Sequence) -> Sps {
    let mut rbsp = Vec::new();
    bitstream::nal::unescape(&sps(sequence)[1..], &mut rbsp);
    Sps::parse(&rbsp).expect("SPS")
}

#[test]
fn cropping_sample_shape_and_reordering() {
    let plain = parsed(&Sequence::default());
    assert_eq!(plain.crop_rectangle(), [0, 0, 32, 32]);
    assert_eq!(
        (plain.vui.sar, plain.vui.bitstream_restriction),
        (None, None)
    );
    let ratios = [
        ((0, 0, 0), None),
        ((1, 0, 0), Some((1, 1))),
        ((2, 0, 0), Some((12, 11))),
        ((14, 0, 0), Some((4, 3))),
        ((16, 0, 0), Some((2, 1))),
        ((17, 0, 0), None),
        ((255, 5, 4), Some((5, 4))),
        ((255, 5, 0), None),
        ((255, 0, 4), None),
    ];
    for (sar, expected) in ratios {
        let sps = parsed(&Sequence {
            crop: Some([1, 2, 3, 4]),
            sar: Some(sar),
            restriction: Some((2, 4)),
            ..Sequence::default()
        });
        assert_eq!(sps.vui.sar, expected);
        assert_eq!(sps.vui.bitstream_restriction, Some((2, 4)));
        assert_eq!(sps.crop_rectangle(), [2, 6, 26, 18]);
    }
    for crop in [[0, 16, 0, 0], [9, 9, 0, 0], [0, 0, u32::MAX - 1, 7]] {
        let sps = parsed(&Sequence {
            crop: Some(crop),
            ..Sequence::default()
        });
        assert_eq!(
            sps.crop_rectangle(),
            [0, 0, 32, 32],
            "cropping that leaves nothing is ignored"
        );
    }
}

/// Field macroblocks occur in pairs, and in MBAFF frames only.
#[test]
fn field_macroblocks_are_reported() {
    for (name, data) in streams() {
        let mut mixed = 0;
        for picture in parse(&data, 1) {
            let Some(mask) = picture.motion.field_macroblocks() else {
                continue;
            };
            assert!(picture.info.mbaff, "{name}");
            let (w, h) = (picture.motion.w4() / 4, picture.motion.h4() / 4);
            assert_eq!(mask.len(), w * h, "{name}");
            for pair in mask.chunks(2 * w) {
                assert_eq!(pair[..w], pair[w..], "{name}");
            }
            mixed += mask.contains(&false) as usize;
        }
        let expected = name == "mbaff_tff" || name == "mbaff_bff";
        assert!(mixed > 0 || !expected, "{name}");
    }
}
