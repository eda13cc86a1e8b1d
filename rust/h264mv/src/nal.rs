//! NAL units: Annex B and length-prefixed framing, emulation prevention (clauses 7.3.1 and B.1).

use crate::error::{Error, Result};

/// nal_unit_type values that the parser looks at (table 7-1).
pub mod unit {
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

/// Position of the next 00 00 01 at or after `from`.
fn start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut i = from;
    while i + 2 < data.len() {
        if data[i + 2] > 1 {
            i += 3;
        } else if data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1 {
            return Some(i);
        } else {
            i += 1;
        }
    }
    None
}

/// The NAL units of an Annex B byte stream, without start codes and trailing zeros.
#[derive(Debug, Clone)]
pub struct AnnexB<'a> {
    data: &'a [u8],
    next: Option<usize>,
}

impl<'a> AnnexB<'a> {
    /// Units of `data`, from its first start code on.
    pub fn new(data: &'a [u8]) -> Self {
        let next = start_code(data, 0);
        AnnexB { data, next }
    }
}

impl<'a> Iterator for AnnexB<'a> {
    /// Byte offset of the unit, and the unit.
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.next? + 3;
            self.next = start_code(self.data, start);
            let end = self.next.unwrap_or(self.data.len());
            let unit = &self.data[start..end];
            let used = unit.iter().rposition(|&b| b != 0).map_or(0, |p| p + 1);
            if used > 0 {
                return Some((start, &unit[..used]));
            }
        }
    }
}

/// The NAL units of a sample whose units are prefixed with their length in `size` bytes.
#[derive(Debug, Clone)]
pub struct LengthPrefixed<'a> {
    data: &'a [u8],
    size: usize,
}

impl<'a> LengthPrefixed<'a> {
    /// Units of one sample; `size` is lengthSizeMinusOne + 1.
    pub fn new(data: &'a [u8], size: usize) -> Self {
        LengthPrefixed { data, size }
    }
}

impl<'a> Iterator for LengthPrefixed<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.data.is_empty() {
            return None;
        }
        let data = std::mem::take(&mut self.data);
        if data.len() < self.size {
            return Some(Err(Error::malformed("NALUnitLength")));
        }
        let (head, rest) = data.split_at(self.size);
        let length = head.iter().fold(0usize, |v, &b| v << 8 | b as usize);
        if length > rest.len() {
            return Some(Err(Error::malformed("NALUnitLength")));
        }
        self.data = &rest[length..];
        Some(Ok(&rest[..length]))
    }
}

/// How the NAL units of a stream's samples are delimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// By start codes.
    #[default]
    StartCodes,
    /// By lengths of so many bytes.
    Lengths(usize),
}

impl Framing {
    /// Bytes of nearly all lengths; only between these and start codes muxers err.
    const USUAL: usize = 4;

    /// How this sample is delimited. Some muxers write start codes where lengths were announced, or
    /// the reverse: the sample itself tells, without regard to those before it.
    pub fn of_sample(self, sample: &[u8]) -> Framing {
        match self {
            Framing::Lengths(Self::USUAL) if sample.starts_with(&[0, 0, 0, 1]) => {
                if made_of_units(sample, Self::USUAL) {
                    self
                } else {
                    Framing::StartCodes
                }
            }
            Framing::StartCodes if made_of_units(sample, Self::USUAL) => {
                Framing::Lengths(Self::USUAL)
            }
            _ => self,
        }
    }
}

/// Whether lengths of `size` bytes divide a sample into units that look like NAL units. Start codes
/// read as lengths hardly do: a slice begins with a bit that would be forbidden_zero_bit.
fn made_of_units(sample: &[u8], size: usize) -> bool {
    let plausible = |nal: &[u8]| {
        let head = nal.first().copied().unwrap_or(0x80);
        head & 0x80 == 0 && matches!(head & 31, 1..=15 | 19 | 20)
    };
    !sample.is_empty() && LengthPrefixed::new(sample, size).all(|unit| unit.is_ok_and(plausible))
}

/// An AVCDecoderConfigurationRecord (avcC, ISO/IEC 14496-15).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AvcConfig {
    /// Bytes of each NALUnitLength.
    pub length_size: usize,
    /// Parameter sets as NAL units.
    pub parameter_sets: Vec<Vec<u8>>,
}

impl AvcConfig {
    /// Parses an avcC payload.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let bad = || Error::malformed("AVCDecoderConfigurationRecord");
        if data.len() < 7 || data[0] != 1 {
            return Err(bad());
        }
        let mut config = AvcConfig {
            length_size: (data[4] & 3) as usize + 1,
            parameter_sets: Vec::new(),
        };
        let mut at = 5;
        for mask in [0x1f, 0xff] {
            let count = data.get(at).ok_or_else(bad)? & mask;
            at += 1;
            for _ in 0..count {
                let size = data.get(at..at + 2).ok_or_else(bad)?;
                let size = (size[0] as usize) << 8 | size[1] as usize;
                let unit = data.get(at + 2..at + 2 + size).ok_or_else(bad)?;
                config.parameter_sets.push(unit.to_vec());
                at += 2 + size;
            }
        }
        Ok(config)
    }
}

/// Removes the emulation prevention bytes of a NAL unit's payload (00 00 03 becomes 00 00).
pub fn unescape(payload: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.reserve(payload.len());
    let mut copied = 0;
    let mut i = 2;
    while i < payload.len() {
        if payload[i] > 3 {
            i += 3;
        } else if payload[i] == 3 && payload[i - 1] == 0 && payload[i - 2] == 0 {
            out.extend_from_slice(&payload[copied..i]);
            copied = i + 1;
            i += 3;
        } else {
            i += 1;
        }
    }
    out.extend_from_slice(&payload[copied.min(payload.len())..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_b_units() {
        let data = [9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65];
        let units: Vec<_> = AnnexB::new(&data).map(|(_, u)| u.to_vec()).collect();
        assert_eq!(units, [vec![0x67, 1, 2], vec![0x68], vec![0x65]]);
        assert_eq!(AnnexB::new(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn length_prefixed_units() {
        let data = [0, 2, 0x67, 1, 0, 1, 0x65];
        let units: Vec<_> = LengthPrefixed::new(&data, 2).map(|u| u.unwrap()).collect();
        assert_eq!(units, [&[0x67u8, 1][..], &[0x65][..]]);
        assert!(LengthPrefixed::new(&[0, 9, 1], 2).any(|u| u.is_err()));
    }

    #[test]
    fn samples_tell_their_framing() {
        use Framing::{Lengths, StartCodes};
        let coded = [0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x41, 0x9a, 7, 7];
        let short = [0, 0, 1, 0x41, 0x9a, 7, 7];
        let lengths = [0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 3, 0x41, 0x9a, 7];
        let one_byte = [0, 0, 0, 1, 0x0a];
        let cut = &lengths[..12];
        for (declared, sample, want) in [
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
            assert_eq!(declared.of_sample(sample), want, "{declared:?} {sample:?}");
        }
        // A slice behind a short start code, of every length that its code reads as.
        for first in [0x41, 0x65, 0x01, 0x06, 0x67, 0x09] {
            let mut sample = vec![0, 0, 1, first, 0x9a];
            sample.resize(4 + 256 + first as usize, 0x55);
            assert_eq!(StartCodes.of_sample(&sample), StartCodes);
        }
    }

    #[test]
    fn emulation_prevention() {
        let mut out = Vec::new();
        unescape(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3], &mut out);
        assert_eq!(out, [1, 0, 0, 1, 0, 0, 0, 0]);
        unescape(&[0, 0, 3, 0, 0, 3, 3], &mut out);
        assert_eq!(out, [0, 0, 0, 0, 3]);
        unescape(&[7], &mut out);
        assert_eq!(out, [7]);
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
