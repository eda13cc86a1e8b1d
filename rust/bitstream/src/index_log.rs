//! Saved form of an index: the starts of a stream's NAL units, from which the index is rebuilt.
//!
//! An entry is, little endian: sample u32 (all ones: before the first sample), size of the unit u32,
//! number of bytes kept u16, the bytes. An empty entry before the first sample ends an access unit.

use crate::Malformed;

/// Sample number of units before the first sample.
const BEFORE_FIRST_SAMPLE: u32 = u32::MAX;

/// Bytes kept of a slice whose header could not be parsed.
pub const DAMAGED_SLICE_BYTES: usize = 512;

/// Bytes of a NAL unit that hold the first `bits` of its RBSP: up to one of three bytes is for emulation
/// prevention.
pub fn bytes_of_header(bits: usize) -> usize {
    4 + bits.div_ceil(8) * 3 / 2
}

/// Appends the first `length` bytes of unit `nal`, which has `size` bytes.
pub fn append(log: &mut Vec<u8>, nal: &[u8], size: usize, sample: u64, length: usize) {
    let start = &nal[..nal.len().min(length).min(u16::MAX as usize)];
    let sample = u32::try_from(sample).unwrap_or(BEFORE_FIRST_SAMPLE);
    log.extend(sample.to_le_bytes());
    log.extend((size.min(u32::MAX as usize) as u32).to_le_bytes());
    log.extend((start.len() as u16).to_le_bytes());
    log.extend(start);
}

/// A unit of a log.
pub struct Entry {
    /// Number of the sample; `u64::MAX` before the first sample.
    pub sample: u64,
    /// Bytes of the whole unit.
    pub size: usize,
    /// Start of the unit, followed by a stop bit if the unit is longer.
    pub start: Vec<u8>,
}

/// Reads the entries of a log, which may be damaged.
pub struct Entries<'a>(pub &'a [u8]);

impl Entries<'_> {
    /// Splits off the first entry; None if the log ends inside it.
    fn read(&mut self) -> Option<Entry> {
        let (sample, rest) = self.0.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (start, rest) = rest.split_at_checked(u16::from_le_bytes(*length) as usize)?;
        let size = u32::from_le_bytes(*size) as usize;
        let mut start = start.to_vec();
        if size.checked_sub(start.len())? > 0 {
            start.push(0x80);
        }
        let sample = match u32::from_le_bytes(*sample) {
            BEFORE_FIRST_SAMPLE => u64::MAX,
            sample => sample as u64,
        };
        self.0 = rest;
        Some(Entry {
            sample,
            size,
            start,
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry.ok_or(Malformed("NAL unit of an index")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_back() {
        let mut log = Vec::new();
        append(&mut log, &[0x67, 1, 2, 3], 4, u64::MAX, 100);
        append(&mut log, &[0x65; 100], 5000, 7, bytes_of_header(20));
        let entries: Vec<Entry> = Entries(&log).map(|e| e.unwrap()).collect();
        assert_eq!((entries[0].sample, entries[0].size), (u64::MAX, 4));
        assert_eq!(entries[0].start, [0x67, 1, 2, 3]);
        assert_eq!((entries[1].sample, entries[1].size), (7, 5000));
        assert_eq!(
            entries[1].start[..],
            [&[0x65u8; 8][..], &[0x80]].concat()[..]
        );
        for cut in 1..log.len() {
            let last = Entries(&log[..cut]).last();
            assert!(cut == 14 || last.is_some_and(|e| e.is_err()), "{cut}");
        }
    }
}
