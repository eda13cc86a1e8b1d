//! Units that do not belong to the stream.

use crate::common::{bytes, decode, is_slice, is_unsupported, starts_picture, streams, units_of};

/// A stray unit of any type between two pictures: no picture is lost or changed, and only the previous one
/// may be damaged.
#[test]
fn stray_units_damage_one_picture() {
    let chosen = ["b_pyramid", "slices", "main10"];
    let all = streams().into_iter();
    for (name, data) in all.filter(|(name, _)| chosen.contains(&name.as_str())) {
        let units = units_of(&data);
        let (originals, _) = decode(&units);
        let starts: Vec<usize> = (0..units.len())
            .filter(|&i| starts_picture(&units[i]))
            .collect();
        for place in [1, 3] {
            for kind in 0..64u8 {
                // Of the base layer and of another one; zeros are not a legal parameter set or slice.
                for layer in [0u8, 8] {
                    let mut stray = vec![kind << 1, layer | 1];
                    stray.extend([0; 12]);
                    stray.push(1);
                    let mut input = units.clone();
                    input.insert(starts[place], stray);
                    let (pictures, errors) = decode(&input);
                    let context = format!("{name}, unit {kind} at {place}");
                    assert!(!errors.iter().any(is_unsupported), "{context}: {errors:?}");
                    if matches!(kind, 36 | 37) && layer == 0 {
                        continue; // the end of a sequence
                    }
                    assert_eq!(pictures.len(), originals.len(), "{context}");
                    for (i, (picture, original)) in pictures.iter().zip(&originals).enumerate() {
                        let before = i + 1 == place && layer == 0;
                        assert!(picture.damage.is_none() || before, "{context}: picture {i}");
                        assert!(bytes(picture) == bytes(original), "{context}: picture {i}");
                    }
                }
            }
        }
    }
}

/// Units of other layers, as of MV-HEVC, are left out.
#[test]
fn other_layers_are_left_out() {
    for (name, data) in streams() {
        let units = units_of(&data);
        let (originals, _) = decode(&units);
        let mut input = Vec::new();
        let mut index = h265mv::StreamIndex::new();
        for nal in &units {
            input.push(nal.clone());
            let mut layer = nal.clone();
            layer[1] |= 8;
            input.push(layer);
        }
        for nal in &input {
            index.push(nal, 0).expect("unit");
        }
        let (pictures, errors) = decode(&input);
        assert!(errors.is_empty() && index.headers().has_layers(), "{name}");
        assert_eq!(pictures.len(), originals.len(), "{name}");
        for (picture, original) in pictures.iter().zip(&originals) {
            assert_eq!(picture.damage, None, "{name}");
            assert!(bytes(picture) == bytes(original), "{name}");
        }
        assert!(units.iter().any(|nal| is_slice(nal)));
    }
}
