//! Sample tables of a movie box (ISO/IEC 14496-12, 8.6 and 8.7).

use crate::boxes::{optional, required, Child, Reader};
use crate::error::{require, Error, Result};
use crate::samples::{Sample, MAX_SAMPLES, MAX_SAMPLE_BYTES};

/// The samples in decoding order, and how far times of decoding are moved because offsets are negative.
#[derive(Debug)]
pub(crate) struct Table {
    pub samples: Vec<Sample>,
    pub shift: i64,
    /// Whether there is a table of offsets.
    pub has_offsets: bool,
}

/// Durations up to this are taken as they are; libavformat corrects larger ones.
const MAX_DURATION: u32 = i32::MAX as u32;

/// Reads the tables of a track; empty for a track whose samples are in movie fragments.
pub(crate) fn read(tables: &[Child<'_>], file_size: u64) -> Result<Table> {
    let names_keys = |child: &Child<'_>| child.kind == *b"stps" || names_rap(child);
    require(
        !tables.iter().any(names_keys),
        "tables of more sync samples",
    )?;
    let sizes = Sizes::read(tables)?;
    let mut samples = positions(tables, &sizes, file_size)?;
    set_times(required(tables, b"stts")?, &mut samples)?;
    let ctts = optional(tables, b"ctts")?;
    let shift = ctts.map_or(Ok(0), |ctts| set_offsets(ctts, &mut samples))?;
    match optional(tables, b"stss")? {
        Some(stss) if !samples.is_empty() => set_keys(stss, &mut samples)?,
        _ => samples.iter_mut().for_each(|sample| sample.key = true),
    }
    let has_offsets = ctts.is_some();
    Ok(Table {
        samples,
        shift,
        has_offsets,
    })
}

/// Refuses tables of another track that are cut short or lead beyond the file: libavformat stops reading
/// the whole file there.
pub(crate) fn check_other(tables: &[Child<'_>], file_size: u64) -> Result<()> {
    for (kind, size) in [(b"stts", 8), (b"ctts", 8), (b"stss", 4), (b"stsc", 12)] {
        if let Some(table) = optional(tables, kind)? {
            let mut reader = Reader(table);
            reader.version()?;
            reader.count(size)?;
        }
    }
    let sizes = Sizes::read(tables)?;
    if matches!(sizes, Sizes::Table { .. }) {
        return positions(tables, &sizes, file_size).map(drop);
    }
    let inside = chunk_offsets(tables)?
        .iter()
        .all(|&offset| offset < file_size);
    require(inside, "a sample is beyond the end of the file")
}

/// Whether a sample group marks random access points.
fn names_rap(child: &Child<'_>) -> bool {
    child.kind == *b"sbgp" && child.body.get(4..8) == Some(b"rap ")
}

/// Sizes of all samples.
enum Sizes<'a> {
    Equal {
        size: u32,
        count: usize,
    },
    Table {
        bits: u8,
        count: usize,
        data: &'a [u8],
    },
}

impl<'a> Sizes<'a> {
    fn read(tables: &[Child<'a>]) -> Result<Self> {
        let (stsz, stz2) = (optional(tables, b"stsz")?, optional(tables, b"stz2")?);
        let sizes = match (stsz, stz2) {
            (Some(stsz), None) => {
                let mut reader = Reader(stsz);
                reader.version()?;
                let (size, count) = (reader.u32()?, reader.u32()? as usize);
                match size {
                    0 => Self::table(32, count, reader.0)?,
                    size => Sizes::Equal { size, count },
                }
            }
            (None, Some(stz2)) => {
                let mut reader = Reader(stz2);
                reader.version()?;
                reader.bytes(3)?;
                let (bits, count) = (reader.u8()?, reader.u32()? as usize);
                require(matches!(bits, 4 | 8 | 16), "sizes of an unknown width")?;
                Self::table(bits, count, reader.0)?
            }
            _ => return Err(Error::Unfit("no table of sizes, or two")),
        };
        require(sizes.count() <= MAX_SAMPLES, "too many samples")?;
        Ok(sizes)
    }

    fn table(bits: u8, count: usize, data: &'a [u8]) -> Result<Self> {
        let available = data.len() as u64 * 8 / u64::from(bits);
        require(count as u64 <= available, "a table is cut short")?;
        Ok(Sizes::Table { bits, count, data })
    }

    fn count(&self) -> usize {
        match *self {
            Sizes::Equal { count, .. } | Sizes::Table { count, .. } => count,
        }
    }

    /// Size of a sample less than [`Self::count`].
    fn get(&self, index: usize) -> u64 {
        match *self {
            Sizes::Equal { size, .. } => u64::from(size),
            Sizes::Table { bits: 4, data, .. } => {
                let byte = data[index / 2];
                u64::from(if index.is_multiple_of(2) {
                    byte >> 4
                } else {
                    byte & 15
                })
            }
            Sizes::Table { bits, data, .. } => {
                let width = usize::from(bits / 8);
                let bytes = &data[index * width..(index + 1) * width];
                bytes
                    .iter()
                    .fold(0, |value, &byte| value << 8 | u64::from(byte))
            }
        }
    }
}

/// Offsets of the chunks.
fn chunk_offsets(tables: &[Child<'_>]) -> Result<Vec<u64>> {
    let (stco, co64) = (optional(tables, b"stco")?, optional(tables, b"co64")?);
    let (body, width) = match (stco, co64) {
        (Some(stco), None) => (stco, 4),
        (None, Some(co64)) => (co64, 8),
        _ => return Err(Error::Unfit("no table of chunks, or two")),
    };
    let mut reader = Reader(body);
    reader.version()?;
    let count = reader.count(width)?;
    let read = |_| match width {
        4 => Ok(u64::from(reader.u32()?)),
        _ => reader.u64(),
    };
    (0..count).map(read).collect()
}

/// Samples with positions and sizes.
fn positions(tables: &[Child<'_>], sizes: &Sizes<'_>, file_size: u64) -> Result<Vec<Sample>> {
    let chunks = chunk_offsets(tables)?;
    let mut reader = Reader(required(tables, b"stsc")?);
    reader.version()?;
    let runs = reader.count(12)?;
    require(runs <= chunks.len(), "more runs of chunks than chunks")?;
    let mut samples = Vec::with_capacity(sizes.count().min(file_size as usize));
    let mut next = match runs {
        0 => chunks.len() as u64 + 1,
        _ => u64::from(reader.u32()?),
    };
    require(
        runs == 0 || next == 1,
        "chunks begin with another than the first",
    )?;
    for run in 0..runs {
        let (first, per_chunk) = (next, reader.u32()? as usize);
        require(reader.u32()? == 1, "several sample entries")?;
        next = match run + 1 == runs {
            true => chunks.len() as u64 + 1,
            false => u64::from(reader.u32()?),
        };
        require(
            first < next && next <= chunks.len() as u64 + 1,
            "runs of chunks overlap",
        )?;
        for &offset in &chunks[first as usize - 1..next as usize - 1] {
            add_chunk(&mut samples, offset, per_chunk, sizes, file_size)?;
        }
    }
    require(samples.len() == sizes.count(), "counts of samples differ")?;
    require(
        chunks.is_empty() == samples.is_empty(),
        "chunks without samples",
    )?;
    Ok(samples)
}

fn add_chunk(
    samples: &mut Vec<Sample>,
    offset: u64,
    count: usize,
    sizes: &Sizes<'_>,
    file_size: u64,
) -> Result<()> {
    require(
        count > 0 && count <= sizes.count() - samples.len(),
        "counts of samples differ",
    )?;
    let mut position = offset;
    for _ in 0..count {
        let size = sizes.get(samples.len());
        require(
            size > 0 && size <= MAX_SAMPLE_BYTES,
            "a sample of unusual size",
        )?;
        let end = position.checked_add(size).filter(|&end| end <= file_size);
        let end = end.ok_or(Error::Unfit("a sample is beyond the end of the file"))?;
        samples.push(Sample {
            position: position as i64,
            size: size as i64,
            time: 0,
            duration: 0,
            offset: 0,
            key: false,
        });
        position = end;
    }
    Ok(())
}

fn set_times(stts: &[u8], samples: &mut [Sample]) -> Result<()> {
    let mut reader = Reader(stts);
    reader.version()?;
    let (mut time, mut rest) = (0i64, samples);
    for _ in 0..reader.count(8)? {
        let (count, duration) = (reader.u32()? as usize, reader.u32()?);
        require(
            duration > 0 && duration <= MAX_DURATION,
            "a sample of unusual duration",
        )?;
        let run = rest.split_at_mut_checked(count).filter(|_| count > 0);
        let (run, others) = run.ok_or(Error::Unfit("counts of durations differ"))?;
        for sample in run {
            (sample.time, sample.duration) = (time, i64::from(duration));
            time += i64::from(duration); // at most 2^24 times 2^31
        }
        rest = others;
    }
    require(rest.is_empty(), "counts of durations differ")
}

/// Returns how far times of decoding are moved so that none is after its time of presentation.
fn set_offsets(ctts: &[u8], samples: &mut [Sample]) -> Result<i64> {
    let mut reader = Reader(ctts);
    reader.version()?;
    let (mut shift, mut rest) = (0i64, samples);
    let entries = reader.count(8)?;
    for entry in 0..entries {
        let (count, offset) = (reader.u32()? as usize, i64::from(reader.i32()?));
        require(offset > i64::from(i32::MIN), "an offset of unusual size")?;
        let run = rest.split_at_mut_checked(count).filter(|_| count > 0);
        let (run, others) = run.ok_or(Error::Unfit("counts of offsets differ"))?;
        run.iter_mut().for_each(|sample| sample.offset = offset);
        rest = others;
        if entry + 2 < entries {
            shift = shift.max(-offset); // libavformat does not look at the last two
        }
    }
    require(rest.is_empty(), "counts of offsets differ")?;
    Ok(shift)
}

fn set_keys(stss: &[u8], samples: &mut [Sample]) -> Result<()> {
    let mut reader = Reader(stss);
    reader.version()?;
    let count = reader.count(4)?;
    require(count > 0, "an empty table of sync samples")?;
    let mut last = 0;
    for _ in 0..count {
        let number = reader.u32()? as usize;
        require(
            number > last && number <= samples.len(),
            "sync samples out of order",
        )?;
        samples[number - 1].key = true;
        last = number;
    }
    Ok(())
}
