//! Sample aspect ratio of video usability information: the same in H.264 (table E-1) and HEVC (table E.1).

use crate::{BitReader, Malformed};

/// By aspect_ratio_idc; 0 is unspecified.
const SAMPLE_ASPECT_RATIOS: [(u16, u16); 17] = [
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];
const EXTENDED_SAR: usize = 255;

/// Reads aspect_ratio_idc to sar_height: width to height, None where the ratio is not specified.
pub fn sample_aspect_ratio(r: &mut BitReader) -> Result<Option<(u16, u16)>, Malformed> {
    let sar = match r.u(8, "aspect_ratio_idc")? as usize {
        EXTENDED_SAR => (r.u(16, "sar_width")? as u16, r.u(16, "sar_height")? as u16),
        idc => SAMPLE_ASPECT_RATIOS.get(idc).copied().unwrap_or((0, 0)),
    };
    Ok((sar.0 > 0 && sar.1 > 0).then_some(sar))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_extended_and_unspecified() {
        let read = |bytes: &[u8]| sample_aspect_ratio(&mut BitReader::new(bytes)).unwrap();
        assert_eq!(read(&[2, 0x80]), Some((12, 11)));
        assert_eq!(read(&[255, 0, 3, 0, 2, 0x80]), Some((3, 2)));
        assert_eq!(read(&[0, 0x80]), None);
        assert_eq!(read(&[17, 0x80]), None);
        assert_eq!(read(&[255, 0, 0, 0, 2, 0x80]), None);
        assert_eq!(read(&[255, 0, 3, 0, 0, 0x80]), None);
    }
}
