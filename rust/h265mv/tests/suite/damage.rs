//! Cut streams, lost units, and streams that begin inside a group of pictures: differences to the original
//! pictures are reported.

use crate::common::writer::IDR;
use crate::common::{
    check_damage, decode, is_slice, kind, parse, starts_picture, streams, units_of,
};

/// A unit of an unspecified type, in place of a lost one: it keeps the numbers of the others.
fn lost() -> Vec<u8> {
    vec![63 << 1, 1]
}

fn is_idr(nal: &[u8]) -> bool {
    matches!(kind(nal), IDR | 20)
}

#[test]
fn truncation_is_reported() {
    let step = std::env::var("TRUNCATION_STEP")
        .ok()
        .and_then(|n| n.parse().ok());
    for (name, data) in streams() {
        let full = parse(&data, 1);
        for cut in (0..data.len()).step_by(step.unwrap_or(13)) {
            for (picture, original) in parse(&data[..cut], 1).iter().zip(&full) {
                let equal = crate::common::bytes(picture) == crate::common::bytes(original);
                assert!(picture.damage.is_some() || equal, "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn one_slice_is_cut() {
    for (name, data) in streams() {
        let units = units_of(&data);
        let (originals, _) = decode(&units);
        for cut in (0..units.len()).filter(|&i| is_slice(&units[i]) && units[i].len() > 40) {
            let mut input = units.clone();
            input[cut].truncate(30);
            let (pictures, _) = decode(&input);
            let context = format!("{name}, unit {cut} cut");
            let [_, damaged] = check_damage(&originals, &pictures, &context);
            assert!(damaged > 0, "{context}");
        }
    }
}

#[test]
fn one_unit_is_lost() {
    let mut total = [0; 2];
    for (name, data) in streams() {
        let units = units_of(&data);
        let (originals, _) = decode(&units);
        for place in 0..units.len() {
            // Without its IDR picture, a sequence looks like a part of the previous one.
            if place > 4 && is_idr(&units[place]) {
                continue;
            }
            let mut input = units.clone();
            input[place] = lost();
            let (pictures, errors) = decode(&input);
            let context = format!("{name} without unit {place}");
            if starts_picture(&units[place]) {
                assert_eq!(pictures.len(), originals.len() - 1, "{context}");
            }
            assert!(!errors.iter().any(crate::common::is_unsupported));
            let counts = check_damage(&originals, &pictures, &context);
            (0..2).for_each(|i| total[i] += counts[i]);
        }
    }
    assert!(total.iter().all(|&n| n > 20), "{total:?}");
}

#[test]
fn stream_begins_inside_a_group_of_pictures() {
    let mut total = [0; 2];
    for (name, data) in streams() {
        let units = units_of(&data);
        let (originals, _) = decode(&units);
        let starts = (0..units.len()).filter(|&i| starts_picture(&units[i]));
        for start in starts.skip(1) {
            let mut input = units.clone();
            for unit in input[..start].iter_mut().filter(|nal| is_slice(nal)) {
                *unit = lost();
            }
            let (pictures, errors) = decode(&input);
            let context = format!("{name} from {start}");
            assert!(errors.is_empty(), "{context}: {errors:?}");
            let counts = check_damage(&originals, &pictures, &context);
            (0..2).for_each(|i| total[i] += counts[i]);
        }
    }
    assert!(total.iter().all(|&n| n > 20), "{total:?}");
}

#[test]
fn slices_without_parameter_sets_give_no_picture() {
    for (name, data) in streams() {
        let units = units_of(&data);
        for set in [33, 34] {
            let kept = units.iter().filter(|nal| kind(nal) != set).cloned();
            let (pictures, errors) = decode(&kept.collect::<Vec<_>>());
            assert!(pictures.is_empty() && !errors.is_empty(), "{name}");
        }
    }
}
