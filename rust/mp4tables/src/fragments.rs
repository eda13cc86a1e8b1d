//! Movie fragments (ISO/IEC 14496-12, 8.8).

use crate::boxes::{children, optional, required, Reader};
use crate::error::{require, Error, Result};
use crate::samples::{Sample, Samples, MAX_SAMPLES, MAX_SAMPLE_BYTES};

/// Defaults for samples of a fragment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// Flags of a track fragment header.
mod tfhd_flag {
    pub const BASE_OFFSET: u32 = 1;
    pub const SAMPLE_ENTRY: u32 = 2;
    pub const DURATION: u32 = 8;
    pub const SIZE: u32 = 0x10;
    pub const FLAGS: u32 = 0x20;
    pub const BASE_IS_MOOF: u32 = 0x2_0000;
    pub const KNOWN: u32 = BASE_OFFSET | SAMPLE_ENTRY | DURATION | SIZE | FLAGS | BASE_IS_MOOF;
}

/// Flags of a track run.
mod trun_flag {
    pub const DATA_OFFSET: u32 = 1;
    pub const FIRST_FLAGS: u32 = 4;
    pub const DURATION: u32 = 0x100;
    pub const SIZE: u32 = 0x200;
    pub const FLAGS: u32 = 0x400;
    pub const OFFSET: u32 = 0x800;
    pub const KNOWN: u32 = DATA_OFFSET | FIRST_FLAGS | DURATION | SIZE | FLAGS | OFFSET;
}

/// Sample flags of a sample that others are needed for: sample_is_non_sync_sample, sample_depends_on 1.
const NOT_SYNC: u32 = 0x1_0000 | 0x0100_0000;

/// The defaults (trex) of `tracks`, in their order; None if the movie has no fragments.
pub(crate) fn defaults(moov: &[u8], tracks: &[u32]) -> Result<Option<Vec<Defaults>>> {
    let Some(mvex) = optional(&children(moov)?, b"mvex")? else {
        return Ok(None);
    };
    let mut of_tracks = vec![None; tracks.len()];
    let boxes = children(mvex)?;
    for child in boxes.iter().filter(|child| child.kind == *b"trex") {
        let mut reader = Reader(child.body);
        reader.version()?;
        let place = position(tracks, reader.u32()?)?;
        require(reader.u32()? == 1, "several sample entries")?;
        let defaults = Defaults {
            duration: reader.u32()?,
            size: reader.u32()?,
            flags: reader.u32()?,
        };
        let before = of_tracks[place].replace(defaults);
        require(before.is_none(), "a track has defaults twice")?;
    }
    let all: Option<Vec<_>> = of_tracks.into_iter().collect();
    all.map(Some)
        .ok_or(Error::Unfit("fragments of a track without defaults"))
}

/// Place of a track among `tracks`.
fn position(tracks: &[u32], track: u32) -> Result<usize> {
    let place = tracks.iter().position(|&id| id == track);
    place.ok_or(Error::Unfit("a fragment of an unknown track"))
}

/// Reads the runs of one track from the fragments of a file. Those of the others have to be sound too:
/// libavformat stops reading where one is not.
#[derive(Debug)]
pub(crate) struct Fragments {
    track: u32,
    /// All tracks of the movie, and their defaults.
    tracks: Vec<u32>,
    defaults: Vec<Defaults>,
    /// What is subtracted from times of decoding, by the edit list.
    delay: i64,
    file_size: u64,
    pub samples: Samples,
}

impl Fragments {
    /// For `track` of a movie with `tracks`, whose defaults are in the same order.
    pub fn new(
        track: u32,
        tracks: Vec<u32>,
        defaults: Vec<Defaults>,
        delay: i64,
        file_size: u64,
    ) -> Self {
        Fragments {
            track,
            tracks,
            defaults,
            delay,
            file_size,
            samples: Samples::default(),
        }
    }

    /// Adds the samples of a movie fragment box at `position` in the file.
    pub fn add(&mut self, moof: &[u8], position: u64) -> Result<()> {
        let mut ours = false;
        let fragments = children(moof)?;
        let header = fragments.first().map(|child| child.kind);
        require(
            header == Some(*b"mfhd") && fragments.len() > 1,
            "an empty fragment",
        )?;
        for child in &fragments[1..] {
            require(child.kind == *b"traf", "a fragment has special boxes")?;
            let boxes = children(child.body)?;
            let mut header = Reader(required(&boxes, b"tfhd")?);
            let (_, flags) = header.version()?;
            let track = header.u32()?;
            let defaults = self.defaults[self::position(&self.tracks, track)?];
            if track != self.track {
                let (base, defaults) = fragment_header(header, flags, position, defaults)?;
                for run in boxes.iter().filter(|child| child.kind == *b"trun") {
                    self.check_run(run.body, base, &defaults)?;
                }
                continue;
            }
            require(!ours, "several fragments of a track in one")?;
            ours = true;
            let known = |kind: &[u8; 4]| {
                matches!(
                    kind,
                    b"tfhd" | b"tfdt" | b"trun" | b"sdtp" | b"free" | b"subs"
                )
            };
            require(
                boxes.iter().all(|child| known(&child.kind)),
                "a fragment has special boxes",
            )?;
            let (base, defaults) = fragment_header(header, flags, position, defaults)?;
            let mut time = decode_time(required(&boxes, b"tfdt")?)?;
            for run in boxes.iter().filter(|child| child.kind == *b"trun") {
                time = self.add_run(run.body, base, &defaults, time)?;
            }
        }
        Ok(())
    }

    /// Adds a run whose first sample is decoded at `time`; returns when it ends.
    fn add_run(
        &mut self,
        trun: &[u8],
        base: u64,
        defaults: &Defaults,
        mut time: i64,
    ) -> Result<i64> {
        let mut run = Run::read(trun, base, defaults)?;
        require(
            run.count <= MAX_SAMPLES - self.samples.len(),
            "too many samples",
        )?;
        for index in 0..run.count {
            let entry = run.entry(index)?;
            require(
                entry.duration > 0 && entry.duration <= i32::MAX as u32,
                "a sample of unusual duration",
            )?;
            require(
                entry.size > 0 && entry.size <= MAX_SAMPLE_BYTES,
                "a sample of unusual size",
            )?;
            require(entry.offset >= 0, "a negative offset in a fragment")?;
            let position = run.advance(entry.size, self.file_size)?;
            let sample = Sample {
                position: position as i64,
                size: entry.size as i64,
                time,
                duration: i64::from(entry.duration),
                offset: entry.offset.into(),
                key: entry.flags & NOT_SYNC == 0,
            };
            let dts = time - self.delay;
            self.samples.push(&sample, dts, dts + sample.offset, true);
            time += sample.duration;
        }
        Ok(time)
    }

    /// Checks that the samples of a run of another track are in the file.
    fn check_run(&self, trun: &[u8], base: u64, defaults: &Defaults) -> Result<()> {
        let mut run = Run::read(trun, base, defaults)?;
        require(run.count <= MAX_SAMPLES, "too many samples")?;
        for index in 0..run.count {
            let size = run.entry(index)?.size;
            require(size <= MAX_SAMPLE_BYTES, "a sample of unusual size")?;
            run.advance(size, self.file_size)?;
        }
        Ok(())
    }
}

/// A track run being read.
struct Run<'a> {
    reader: Reader<'a>,
    flags: u32,
    count: usize,
    /// Of the next sample.
    position: u64,
    first_flags: u32,
    defaults: Defaults,
}

/// What a run says of a sample.
struct Entry {
    duration: u32,
    size: u64,
    flags: u32,
    offset: i32,
}

impl<'a> Run<'a> {
    fn read(trun: &'a [u8], base: u64, defaults: &Defaults) -> Result<Self> {
        let mut reader = Reader(trun);
        let (_, flags) = reader.version()?;
        let count = reader.u32()? as usize;
        require(flags & !trun_flag::KNOWN == 0, "unknown flags of a run")?;
        require(flags & trun_flag::DATA_OFFSET != 0, "an implied offset")?;
        let position = base.checked_add_signed(i64::from(reader.i32()?));
        let position = position.ok_or(Error::Unfit("a run before the file"))?;
        let first_flags = match flags & trun_flag::FIRST_FLAGS {
            0 => defaults.flags,
            _ => reader.u32()?,
        };
        Ok(Run {
            reader,
            flags,
            count,
            position,
            first_flags,
            defaults: *defaults,
        })
    }

    fn entry(&mut self, index: usize) -> Result<Entry> {
        let mut field = |flag, default| match self.flags & flag {
            0 => Ok(default),
            _ => self.reader.u32(),
        };
        let usual = match index {
            0 => self.first_flags,
            _ => self.defaults.flags,
        };
        Ok(Entry {
            duration: field(trun_flag::DURATION, self.defaults.duration)?,
            size: field(trun_flag::SIZE, self.defaults.size)?.into(),
            flags: field(trun_flag::FLAGS, usual)?,
            offset: field(trun_flag::OFFSET, 0)? as i32,
        })
    }

    /// Position of a sample of `size` bytes, which is in the file; the next one follows it.
    fn advance(&mut self, size: u64, file_size: u64) -> Result<u64> {
        let end = self.position.checked_add(size);
        let end = end.filter(|&end| end <= file_size);
        let end = end.ok_or(Error::Unfit("a sample is beyond the end of the file"))?;
        Ok(std::mem::replace(&mut self.position, end))
    }
}

/// The offset that runs count from, and the defaults of the fragment.
fn fragment_header(
    mut header: Reader<'_>,
    flags: u32,
    position: u64,
    mut defaults: Defaults,
) -> Result<(u64, Defaults)> {
    require(flags & !tfhd_flag::KNOWN == 0, "a fragment without samples")?;
    let base = match flags & tfhd_flag::BASE_OFFSET {
        0 => {
            // Without the flag, data may begin where those of another track end.
            require(flags & tfhd_flag::BASE_IS_MOOF != 0, "an implied offset")?;
            position
        }
        _ => header.u64()?,
    };
    if flags & tfhd_flag::SAMPLE_ENTRY != 0 {
        require(header.u32()? == 1, "several sample entries")?;
    }
    if flags & tfhd_flag::DURATION != 0 {
        defaults.duration = header.u32()?;
    }
    if flags & tfhd_flag::SIZE != 0 {
        defaults.size = header.u32()?;
    }
    if flags & tfhd_flag::FLAGS != 0 {
        defaults.flags = header.u32()?;
    }
    Ok((base, defaults))
}

/// baseMediaDecodeTime.
fn decode_time(tfdt: &[u8]) -> Result<i64> {
    let mut reader = Reader(tfdt);
    let time = match reader.version()?.0 {
        0 => u64::from(reader.u32()?),
        _ => reader.u64()?,
    };
    require(time < 1 << 60, "a time of unusual size")?;
    Ok(time as i64)
}
