//! Random data behind sound headers.

mod common;

use common::{layer, plane, stream};
use mpeg4mv::{Kind, Prediction, Reader};

/// Numbers of a linear congruential generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn any_data_is_read_or_refused() {
    let mut random = Random(1);
    for _ in 0..3000 {
        let mut data = vec![random.next() as u8];
        for kind in [0, 1, 2, random.next() % 4, 2] {
            let (count, increment) = (random.next() as usize % 60, random.next() % 25);
            let mut payload = random.bytes(count);
            if random.next().is_multiple_of(2) {
                payload.iter_mut().for_each(|byte| *byte |= 0x88); // short codes: more macroblocks
            }
            data.push(0xa5);
            data.extend(plane(kind, increment, &payload));
        }
        stream(&data);
    }
}

#[test]
fn b_pictures_skip_what_the_picture_after_skips() {
    let mut reader = Reader::new(&layer(false));
    assert_eq!(reader.push(&plane(0, 0, &[0x10, 0x80]), false).len(), 1);
    // vop_rounding_type, intra_dc_vlc_thr 0, vop_quant 2, vop_fcode_forward 1, 15 times not_coded, stuffing.
    let after = reader.push(&plane(1, 2, &[0, 0b0010_0011, 0xff, 0b1111_1101]), false);
    let field = after[0].field().unwrap().unwrap();
    assert!(field
        .predictions
        .iter()
        .all(|&prediction| prediction == Prediction::Skipped));
    // intra_dc_vlc_thr 0, vop_quant 4, both vop_fcode 1, stuffing: no macroblock has data.
    let between = reader.push(&plane(2, 1, &[0, 0b1000_0100, 0b1011_1111]), false);
    assert_eq!(between[0].kind(), Kind::B);
    assert_eq!(between[0].field().unwrap().unwrap(), field);
}
