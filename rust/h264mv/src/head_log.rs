//! The starts of a stream's NAL units, kept so that an index can be made again without the stream.
//!
//! An entry is: sample u32 (all ones: before the first one), size of the unit u32, bytes kept u16
//! (little endian), the bytes. An empty one before the first sample ends an access unit.

use crate::error::{Error, Result};
use crate::nal::unit;

/// More of a damaged slice header is not kept.
const MOST: usize = 512;
const BEFORE: u32 = u32::MAX;

/// Appends a unit. `header_bits` is where its slice header or its SEI messages end in the RBSP, 0 if
/// that is not known.
pub(crate) fn append(log: &mut Vec<u8>, nal: &[u8], size: usize, sample: u64, header_bits: usize) {
    let kept = match nal.first().map_or(0, |head| head & 31) {
        // Of three bytes one may be for emulation prevention.
        unit::SLICE | unit::IDR_SLICE | unit::SEI if header_bits > 0 => {
            4 + header_bits.div_ceil(8) * 3 / 2
        }
        unit::SLICE | unit::IDR_SLICE => MOST,
        unit::SPS | unit::PPS => u16::MAX as usize,
        unit::SLICE_EXTENSION => 2, // tells layers from views
        _ => 1,
    };
    let kept = &nal[..nal.len().min(kept).min(u16::MAX as usize)];
    let sample = u32::try_from(sample).unwrap_or(BEFORE);
    log.extend(sample.to_le_bytes());
    log.extend((size.min(u32::MAX as usize) as u32).to_le_bytes());
    log.extend((kept.len() as u16).to_le_bytes());
    log.extend(kept);
}

/// A unit of a log.
pub(crate) struct Entry {
    pub sample: u64,
    pub size: usize,
    /// Its start; where more followed, a stop bit ends it.
    pub head: Vec<u8>,
}

/// Reads a log back, which may hold anything.
pub(crate) struct Entries<'a>(pub &'a [u8]);

impl Iterator for Entries<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let data = std::mem::take(&mut self.0);
        if data.is_empty() {
            return None;
        }
        let read = || {
            let (fixed, rest) = data.split_at_checked(10)?;
            let word = |at: usize| {
                fixed[at..at + 4]
                    .iter()
                    .rev()
                    .fold(0u32, |v, &b| v << 8 | b as u32)
            };
            let (sample, size) = (word(0), word(4) as usize);
            let (kept, rest) =
                rest.split_at_checked(fixed[8] as usize | (fixed[9] as usize) << 8)?;
            let mut head = kept.to_vec();
            match size.checked_sub(kept.len())? {
                0 => {}
                _ => head.push(0x80),
            }
            let sample = if sample == BEFORE {
                u64::MAX
            } else {
                sample as u64
            };
            Some((Entry { sample, size, head }, rest))
        };
        match read() {
            Some((entry, rest)) => {
                self.0 = rest;
                Some(Ok(entry))
            }
            None => Some(Err(Error::malformed("NAL unit of an index"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_back() {
        let mut log = Vec::new();
        append(&mut log, &[0x67, 1, 2, 3], 4, u64::MAX, 0);
        append(&mut log, &[0x65; 100], 5000, 7, 20);
        let entries: Vec<Entry> = Entries(&log).map(|e| e.unwrap()).collect();
        assert_eq!((entries[0].sample, entries[0].size), (u64::MAX, 4));
        assert_eq!(entries[0].head, [0x67, 1, 2, 3]);
        assert_eq!((entries[1].sample, entries[1].size), (7, 5000));
        assert_eq!(
            entries[1].head[..],
            [&[0x65u8; 8][..], &[0x80]].concat()[..]
        );
        for cut in 1..log.len() {
            let last = Entries(&log[..cut]).last();
            assert!(cut == 14 || last.is_some_and(|e| e.is_err()), "{cut}");
        }
    }
}
