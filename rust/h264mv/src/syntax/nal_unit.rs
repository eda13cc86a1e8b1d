//! H.264 NAL unit types and the decoder configuration record of MP4 files.

use bitstream::Malformed;

/// nal_unit_type values that the parser handles (table 7-1).
pub mod nal_unit_type {
    #![allow(missing_docs)]
    pub const SLICE: u8 = 1;
    pub const PARTITION_A: u8 = 2;
    pub const PARTITION_C: u8 = 4;
    pub const IDR_SLICE: u8 = 5;
    pub const SEI: u8 = 6;
    pub const SPS: u8 = 7;
    pub const PPS: u8 = 8;
    pub const ACCESS_UNIT_DELIMITER: u8 = 9;
    pub const END_OF_SEQUENCE: u8 = 10;
    pub const END_OF_STREAM: u8 = 11;
    pub const SUBSET_SPS: u8 = 15;
    pub const SLICE_EXTENSION: u8 = 20;
}

/// Whether the first byte may be the header of an H.264 NAL unit. Start codes read as lengths rarely
/// pass: a slice begins with a bit that would be forbidden_zero_bit.
pub fn is_plausible(nal: &[u8]) -> bool {
    let header = nal.first().copied().unwrap_or(0x80);
    header & 0x80 == 0 && matches!(header & 31, 1..=15 | 19 | 20)
}

/// An AVCDecoderConfigurationRecord (avcC, ISO/IEC 14496-15).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AvcConfig {
    /// Size of each NALUnitLength in bytes.
    pub length_size: usize,
    /// Parameter sets as NAL units.
    pub parameter_sets: Vec<Vec<u8>>,
}

impl AvcConfig {
    /// Parses an avcC payload.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let bad = || Malformed("AVCDecoderConfigurationRecord");
        if data.len() < 7 || data[0] != 1 {
            return Err(bad());
        }
        let mut config = AvcConfig {
            length_size: (data[4] & 3) as usize + 1,
            parameter_sets: Vec::new(),
        };
        let mut position = 5;
        for mask in [0x1f, 0xff] {
            let count = data.get(position).ok_or_else(bad)? & mask;
            position += 1;
            for _ in 0..count {
                let size = data.get(position..position + 2).ok_or_else(bad)?;
                let size = (size[0] as usize) << 8 | size[1] as usize;
                let unit = data
                    .get(position + 2..position + 2 + size)
                    .ok_or_else(bad)?;
                config.parameter_sets.push(unit.to_vec());
                position += 2 + size;
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use bitstream::nal::Framing;

    use super::*;

    #[test]
    fn framing_is_detected_from_the_sample() {
        use Framing::{Lengths, StartCodes};
        let coded = [0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x41, 0x9a, 7, 7];
        let short = [0, 0, 1, 0x41, 0x9a, 7, 7];
        let lengths = [0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 3, 0x41, 0x9a, 7];
        let one_byte = [0, 0, 0, 1, 0x0a];
        let cut = &lengths[..12];
        for (declared, sample, expected) in [
            (Lengths(4), &lengths[..], Lengths(4)),
            (Lengths(4), &coded[..], StartCodes),
            (Lengths(4), &one_byte[..], Lengths(4)),
            (Lengths(4), cut, Lengths(4)),
            (Lengths(4), &[], Lengths(4)),
            (Lengths(2), &coded[..], Lengths(2)),
            (StartCodes, &coded[..], StartCodes),
            (StartCodes, &short[..], StartCodes),
            (StartCodes, &lengths[..], Lengths(4)),
            (StartCodes, cut, StartCodes),
            (StartCodes, &[], StartCodes),
        ] {
            assert_eq!(
                declared.detect(sample, is_plausible),
                expected,
                "{declared:?} {sample:?}"
            );
        }
        // A slice after a three-byte start code, longer than the length that its first bytes read as.
        for first in [0x41, 0x65, 0x01, 0x06, 0x67, 0x09] {
            let mut sample = vec![0, 0, 1, first, 0x9a];
            sample.resize(4 + 256 + first as usize, 0x55);
            assert_eq!(StartCodes.detect(&sample, is_plausible), StartCodes);
        }
    }

    #[test]
    fn avc_config() {
        let data = [1, 66, 0, 10, 0xff, 0xe1, 0, 2, 0x67, 5, 1, 0, 1, 0x68];
        let config = AvcConfig::parse(&data).unwrap();
        assert_eq!(config.length_size, 4);
        assert_eq!(config.parameter_sets, [vec![0x67, 5], vec![0x68]]);
        assert!(AvcConfig::parse(&data[..13]).is_err());
    }
}
