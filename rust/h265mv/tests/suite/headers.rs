//! Parameter sets and slice segment headers written by hand.

use crate::common::writer::*;
use crate::common::{cabac::Encoder, cabac::States, decode, is_unsupported};
use h265mv::{Decoder, Error, Options, Picture, Sps};
use testkit::bits::Bits;

/// 4x4 blocks of a coding unit of 16x16.
const BLOCKS: u32 = 16;

/// Pictures of `units` after parameter sets; nothing may be damaged.
fn sound(sequence: &Sequence, p: &Parameters, units: &[Vec<u8>]) -> Vec<Picture> {
    let (pictures, errors) = decode(&[&[sps(sequence), pps(p)], units].concat());
    assert!(errors.is_empty(), "{errors:?}");
    for picture in &pictures {
        assert_eq!(picture.damage, None);
    }
    pictures
}

/// PicOrderCnt of list 0 of the first block of a picture.
fn reference(picture: &Picture) -> i32 {
    picture.motion.ref_poc()[0]
}

#[test]
fn long_term_references() {
    let sequence = Sequence {
        long_term: true,
        ..Sequence::default()
    };
    let p = Parameters::default();
    let mut units = vec![segment(&Segment::intra(IDR, 0), &sequence, &p, 1)];
    // Picture 0 stays as a long-term reference; its lsb is that of picture 16 too.
    for poc in 1..20u32 {
        let cycle = (poc >= 16).then_some(poc / 16);
        let picture = Segment {
            long_term: vec![(0, cycle)],
            ..Segment::inter(poc % 16, &[1], 1)
        };
        units.push(segment(&picture, &sequence, &p, 1));
    }
    let pictures = sound(&sequence, &p, &units);
    for (poc, picture) in (0..).zip(&pictures) {
        assert_eq!(picture.info.poc, poc);
        assert!(!picture.info.incomplete_references);
        // The long-term picture is the second one of the list; picture 1 holds it twice.
        assert!(poc == 0 || reference(picture) == 0, "{poc}");
        assert_eq!(picture.motion.ref_idx()[0], if poc == 0 { -1 } else { 1 });
    }
}

#[test]
fn modified_lists() {
    let sequence = Sequence::default();
    let p = Parameters {
        list_modification: true,
        ..Parameters::default()
    };
    let picture = |entries: Option<Vec<u32>>, merge_idx| {
        let picture = Segment {
            list_entries: entries,
            ..Segment::inter(3, &[1, 2, 3], merge_idx)
        };
        let before = [
            Segment::intra(IDR, 0),
            Segment::inter(1, &[1], 0),
            Segment::inter(2, &[1, 2], 0),
        ];
        let units: Vec<_> = before
            .iter()
            .chain([&picture])
            .map(|s| segment(s, &sequence, &p, 1))
            .collect();
        reference(&sound(&sequence, &p, &units)[3])
    };
    for merge_idx in 0..3 {
        assert_eq!(picture(None, merge_idx), 2 - merge_idx as i32);
        let modified = picture(Some(vec![2, 0, 2]), merge_idx);
        assert_eq!(modified, [0, 2, 0][merge_idx as usize]);
    }
}

#[test]
fn extra_bits_output_flag_and_extension() {
    let sequence = Sequence::default();
    let p = Parameters {
        id: 63,
        output_flag: true,
        extra_bits: 3,
        header_extension: true,
        ..Parameters::default()
    };
    let hidden = Segment {
        output: false,
        ..Segment::inter(1, &[1], 0)
    };
    let shown = [Segment::intra(IDR, 0), hidden, Segment::inter(2, &[1], 0)];
    let units = shown.map(|s| segment(&s, &sequence, &p, 1));
    let pictures = sound(&sequence, &p, &units);
    let output: Vec<bool> = pictures.iter().map(|p| p.info.output).collect();
    assert_eq!(output, [true, false, true]);
}

#[test]
fn pcm_samples() {
    let sequence = Sequence {
        pcm: true,
        size: (2, 1),
        ..Sequence::default()
    };
    let p = Parameters::default();
    let s = Segment::intra(IDR, 0);
    // A unit of PCM samples between two code words; zeros need emulation prevention.
    let mut first = Encoder::new(States::new());
    first.bin(("part_mode", 184), true);
    first.terminate(true);
    let states = first.states.clone();
    let samples = (0..8 * 256).map(|i| i % 1000 < 8).collect();
    let mut second = Encoder::new(states);
    second.terminate(false);
    coding_tree_unit(&mut second, &s, &sequence);
    second.terminate(true);
    let data = [first.bits(), samples, second.bits()].concat();
    let pictures = sound(&sequence, &p, &[segment_of(&s, &sequence, &p, &[data])]);
    let stats = pictures[0].motion.stats();
    assert_eq!(stats.coding_units, 2);
    assert_eq!((stats.intra, stats.pcm), (2 * BLOCKS, BLOCKS));
}

/// Substreams of tiles of 2x2 coding tree units with a wavefront in each.
#[test]
fn tiles_with_wavefronts() {
    let sequence = Sequence {
        size: (4, 4),
        ..Sequence::default()
    };
    let p = Parameters {
        tiles: Some((2, 2)),
        wavefront: true,
        ..Parameters::default()
    };
    let s = Segment::intra(IDR, 0);
    let mut substreams = Vec::new();
    for row in 0..8 {
        // The second row of a tile starts with the contexts after the second unit of the first row.
        let mut saved = States::new();
        if row % 2 == 1 {
            let mut above = Encoder::new(States::new());
            for _ in 0..2 {
                coding_tree_unit(&mut above, &s, &sequence);
            }
            saved = above.states;
        }
        let mut encoder = Encoder::new(saved);
        for unit in 0..2 {
            coding_tree_unit(&mut encoder, &s, &sequence);
            // end_of_slice_segment_flag, and end_of_subset_one_bit.
            let ends = unit == 1;
            encoder.terminate(ends && row == 7);
            if ends && row < 7 {
                encoder.terminate(true);
            }
        }
        substreams.push(encoder.bits());
    }
    let unit = segment_of(&s, &sequence, &p, &substreams);
    let pictures = sound(&sequence, &p, &[unit]);
    assert_eq!(pictures[0].motion.stats().intra, 16 * BLOCKS);
}

#[test]
fn dependent_segments() {
    for wavefront in [false, true] {
        let sequence = Sequence {
            size: (3, 3),
            ..Sequence::default()
        };
        let p = Parameters {
            dependent_segments: true,
            wavefront,
            ..Parameters::default()
        };
        let mut states = States::new();
        let mut above = States::new();
        let mut units = Vec::new();
        // A segment for each row.
        for row in 0..3 {
            let s = Segment {
                address: (row > 0).then_some((3 * row, 4)),
                dependent: row > 0,
                ..Segment::intra(IDR, 0)
            };
            let mut encoder = Encoder::new(if wavefront { above } else { states });
            above = States::new();
            for unit in 0..3 {
                coding_tree_unit(&mut encoder, &s, &sequence);
                if unit == 1 {
                    above = encoder.states.clone();
                }
                encoder.terminate(unit == 2);
            }
            states = encoder.states.clone();
            units.push(segment_of(&s, &sequence, &p, &[encoder.bits()]));
        }
        let pictures = sound(&sequence, &p, &units);
        assert_eq!(pictures[0].motion.stats().intra, 9 * BLOCKS);
        assert_eq!(pictures[0].info.slices, 1);
        // Without the second one, the picture is damaged.
        units.remove(1);
        let (pictures, _) = decode(&[vec![sps(&sequence), pps(&p)], units].concat());
        assert!(pictures[0].damage.is_some());
    }
}

#[test]
fn sequences_end_and_leading_pictures_are_left_out() {
    let (sequence, p) = (Sequence::default(), Parameters::default());
    let unit = |s: Segment| segment(&s, &sequence, &p, 1);
    let leading = |poc_lsb| Segment {
        kind: RASL_R,
        ..Segment::inter(poc_lsb, &[1], 0)
    };
    let units = [
        unit(Segment::intra(CRA, 4)),
        unit(leading(3)), // left out: the stream starts
        unit(Segment::inter(5, &[1], 0)),
        unit(Segment::intra(CRA, 8)),
        unit(leading(6)), // decoded
        vec![END_OF_SEQUENCE << 1, 1],
        unit(Segment::intra(CRA, 4)),
        unit(leading(3)), // left out: the sequence starts
        unit(Segment::inter(5, &[1], 0)),
    ];
    let pictures = sound(&sequence, &p, &units);
    let order: Vec<_> = pictures
        .iter()
        .map(|p| (p.info.period, p.info.poc))
        .collect();
    assert_eq!(order, [(0, 4), (0, 5), (0, 8), (0, 6), (1, 4), (1, 5)]);
    let mut index = h265mv::StreamIndex::new();
    for (i, nal) in [sps(&sequence), pps(&p)].iter().chain(&units).enumerate() {
        index.push(nal, i as u64).expect("unit");
    }
    assert_eq!(index.headers().skipped_rasl(), [3, 9]);
}

/// A sequence that has lost its first picture does not refer to the sequence before.
#[test]
fn lost_start_of_a_sequence() {
    let (sequence, p) = (Sequence::default(), Parameters::default());
    let unit = |s: Segment| segment(&s, &sequence, &p, 1);
    let units = [
        unit(Segment::intra(IDR, 0)),
        vec![END_OF_SEQUENCE << 1, 1],
        unit(Segment::inter(1, &[1], 0)),
    ];
    let pictures = sound(&sequence, &p, &units);
    assert!(pictures[1].info.incomplete_references);
    assert_eq!(pictures[1].info.period, 1);
}

#[test]
fn first_of_separate_colour_planes_is_read() {
    let sequence = Sequence {
        separate_colour_planes: true,
        size: (2, 1),
        ..Sequence::default()
    };
    let p = Parameters::default();
    let plane = |plane: u32| {
        let s = Segment {
            address: (plane > 0).then_some((0, 1)),
            colour_plane: Some(plane),
            ..Segment::intra(IDR, 0)
        };
        segment(&s, &sequence, &p, 2)
    };
    let pictures = sound(&sequence, &p, &[plane(0), plane(1), plane(2)]);
    assert_eq!(pictures.len(), 1);
    assert_eq!(pictures[0].motion.stats().intra, 2 * BLOCKS);
}

/// A segment whose first one is lost does not join the picture before.
#[test]
fn lost_first_segment() {
    let sequence = Sequence {
        size: (2, 1),
        ..Sequence::default()
    };
    let p = Parameters::default();
    let slice = |kind, poc_lsb, address| {
        let s = Segment {
            address,
            ..Segment::intra(kind, poc_lsb)
        };
        segment(&s, &sequence, &p, 1)
    };
    let sets = [sps(&sequence), pps(&p)];
    let first = [slice(IDR, 0, None), slice(IDR, 0, Some((1, 1)))];
    for second in [
        slice(TRAIL_R, 1, Some((1, 1))), // another type
        slice(IDR, 0, Some((1, 1))),     // an address that was there
    ] {
        let (pictures, errors) = decode(&[&sets[..], &first, &[second]].concat());
        assert_eq!(pictures.len(), 1);
        assert_eq!(pictures[0].damage, None);
        assert!(errors[0]
            .to_string()
            .contains("first_slice_segment_in_pic_flag"));
    }
    // Another PicOrderCnt, before the last segment of the picture.
    let units = [
        slice(TRAIL_R, 1, None),
        slice(TRAIL_R, 2, Some((1, 1))),
        slice(TRAIL_R, 3, None),
    ];
    let (pictures, errors) = decode(&[&sets[..], &units].concat());
    assert_eq!((pictures.len(), errors.len()), (2, 1));
    assert!(pictures.iter().all(|p| p.damage.is_some()));
}

/// A picture that has lost a slice is damaged even where the slices that are left are I slices: the lost one
/// may hold motion. Only the slice data of IRAP pictures is left out.
#[test]
fn lost_slice_beside_an_i_slice() {
    let sequence = Sequence {
        size: (2, 1),
        ..Sequence::default()
    };
    let p = Parameters::default();
    let slice =
        |kind, poc_lsb, units| segment(&Segment::intra(kind, poc_lsb), &sequence, &p, units);
    let units = [
        sps(&sequence),
        pps(&p),
        slice(IDR, 0, 2),
        slice(TRAIL_R, 1, 1), // the second coding tree unit is lost
        slice(TRAIL_R, 2, 2),
        slice(TRAIL_R, 3, 2),
    ];
    let options = Options {
        intra: false,
        ..Options::default()
    };
    let mut decoder = Decoder::new(&options);
    for (sample, nal) in units.iter().enumerate() {
        decoder.push(nal, sample as u64).expect("unit");
    }
    decoder.finish();
    let pictures = std::iter::from_fn(|| decoder.next_picture());
    let damaged: Vec<bool> = pictures.map(|p| p.damage.is_some()).collect();
    assert_eq!(damaged, [false, true, false, false]);
}

#[test]
fn picture_size_changes() {
    let p = Parameters::default();
    let mut units = Vec::new();
    for width in [1, 3, 2] {
        let sequence = Sequence {
            size: (width, 1),
            ..Sequence::default()
        };
        units.push(sps(&sequence));
        if width == 1 {
            units.push(pps(&p)); // not sent again: it refers to the set in force
        }
        let picture = Segment::intra(IDR, 0);
        units.push(segment(&picture, &sequence, &p, width as usize));
    }
    let (pictures, errors) = decode(&units);
    assert!(errors.is_empty(), "{errors:?}");
    let widths: Vec<u32> = pictures.iter().map(|p| p.info.sps.width).collect();
    assert_eq!(widths, [16, 48, 32]);
    assert!(pictures.iter().all(|p| p.damage.is_none()));
}

fn parsed(sequence: &Sequence) -> Result<Sps, Error> {
    let mut rbsp = Vec::new();
    bitstream::nal::unescape(&sps(sequence)[2..], &mut rbsp);
    Sps::parse(&rbsp)
}

#[test]
fn absurd_sizes_are_rejected() {
    for width in [0, 8, 17, 25_344, 1 << 20, u32::MAX - 1] {
        let sequence = Sequence {
            declared_width: Some(width),
            size: (1, 1600),
            ..Sequence::default()
        };
        assert!(parsed(&sequence).is_err(), "{width}");
    }
    let sequence = Sequence::default();
    let p = Parameters {
        tiles: Some((20, 22)), // more than coding tree blocks
        ..Parameters::default()
    };
    let unit = segment(&Segment::intra(IDR, 0), &sequence, &p, 1);
    let (pictures, errors) = decode(&[sps(&sequence), pps(&p), unit]);
    assert!(pictures.is_empty() && errors.len() == 1, "{errors:?}");
}

#[test]
fn screen_content_is_unsupported_in_its_profiles() {
    for (profile_idc, unsupported) in [(9, true), (11, true), (1, false), (4, false)] {
        let sequence = Sequence {
            profile_idc,
            extension: Some(Bits::default().u(8, 0x10).u(16, 0)),
            ..Sequence::default()
        };
        let p = Parameters::default();
        let unit = segment(&Segment::intra(IDR, 0), &sequence, &p, 1);
        let (pictures, errors) = decode(&[sps(&sequence), pps(&p), unit]);
        assert_eq!(errors.iter().any(is_unsupported), unsupported);
        assert_eq!(pictures.len(), !unsupported as usize);
    }
}

#[test]
fn usability_information_without_a_display_window_flag() {
    // No aspect ratio, overscan, signal type and chroma location; three flags.
    let start = || Bits::default().u(4, 0).u(3, 0b010);
    let timing = |bits: Bits| bits.flag(true).u(32, 1001).u(32, 30_000).u(2, 0);
    let expected = Some((1001, 30_000));
    let sound = timing(start().flag(false)).flag(false);
    let without_flag = timing(start()).flag(false);
    for (vui, name) in [(sound, "sound"), (without_flag, "without the flag")] {
        let sequence = Sequence {
            vui: Some(vui),
            ..Sequence::default()
        };
        let sps = parsed(&sequence).expect(name);
        assert_eq!(sps.vui.timing, expected, "{name}");
        assert!(sps.vui.field_seq_flag, "{name}");
    }
}

#[test]
fn parameter_sets_in_any_order() {
    let (sequence, p) = (Sequence::default(), Parameters::default());
    let unit = segment(&Segment::intra(IDR, 0), &sequence, &p, 1);
    let (pictures, errors) = decode(&[pps(&p), sps(&sequence), unit]);
    assert!(errors.is_empty() && pictures[0].damage.is_none());
}

#[test]
fn only_zero_words_follow_a_slice_segment() {
    let (sequence, p) = (Sequence::default(), Parameters::default());
    let unit = segment(&Segment::intra(IDR, 0), &sequence, &p, 1);
    for (tail, is_damaged) in [(&[0, 0, 3, 0, 0, 3][..], false), (&[0, 5], true)] {
        let unit = [&unit, tail].concat();
        let (pictures, errors) = decode(&[sps(&sequence), pps(&p), unit]);
        assert!(errors.is_empty());
        assert_eq!(pictures[0].damage.is_some(), is_damaged);
    }
}
