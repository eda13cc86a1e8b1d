//! NAL units: Annex B and length-prefixed framing, emulation prevention (clauses 7.3.1 and B.1).

use crate::Malformed;

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
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.data.is_empty() {
            return None;
        }
        let data = std::mem::take(&mut self.data);
        if data.len() < self.size {
            return Some(Err(Malformed("NALUnitLength")));
        }
        let (head, rest) = data.split_at(self.size);
        let length = head.iter().fold(0usize, |v, &b| v << 8 | b as usize);
        if length > rest.len() {
            return Some(Err(Malformed("NALUnitLength")));
        }
        self.data = &rest[length..];
        Some(Ok(&rest[..length]))
    }
}

/// How the NAL units of a stream's samples are delimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// By start codes (Annex B).
    #[default]
    StartCodes,
    /// By lengths of this many bytes.
    Lengths(usize),
}

impl Framing {
    /// Length size of nearly all files; muxers confuse start codes with this one only.
    const COMMON_LENGTH_SIZE: usize = 4;

    /// Framing of one sample of a stream that declares `self`. Some muxers write start codes where
    /// lengths are declared, or the reverse. `is_plausible` tells whether bytes may be a NAL unit of the
    /// codec, judged by their header.
    pub fn detect(self, sample: &[u8], is_plausible: fn(&[u8]) -> bool) -> Framing {
        let has_lengths = || {
            let mut units = LengthPrefixed::new(sample, Self::COMMON_LENGTH_SIZE);
            !sample.is_empty() && units.all(|unit| unit.is_ok_and(is_plausible))
        };
        match self {
            Framing::Lengths(Self::COMMON_LENGTH_SIZE)
                if sample.starts_with(&[0, 0, 0, 1]) && !has_lengths() =>
            {
                Framing::StartCodes
            }
            Framing::StartCodes if has_lengths() => Framing::Lengths(Self::COMMON_LENGTH_SIZE),
            _ => self,
        }
    }

    /// The NAL units of one sample in this framing; a broken length ends them with an error.
    pub fn units(self, sample: &[u8]) -> Box<dyn Iterator<Item = Result<&[u8], Malformed>> + '_> {
        match self {
            Framing::StartCodes => Box::new(AnnexB::new(sample).map(|(_, nal)| Ok(nal))),
            Framing::Lengths(size) => Box::new(LengthPrefixed::new(sample, size)),
        }
    }
}

/// Writes a NAL unit's payload without its emulation prevention bytes (00 00 03 becomes 00 00) to `out`.
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
    fn emulation_prevention() {
        let mut out = Vec::new();
        unescape(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3], &mut out);
        assert_eq!(out, [1, 0, 0, 1, 0, 0, 0, 0]);
        unescape(&[0, 0, 3, 0, 0, 3, 3], &mut out);
        assert_eq!(out, [0, 0, 0, 0, 3]);
        unescape(&[7], &mut out);
        assert_eq!(out, [7]);
    }
}
