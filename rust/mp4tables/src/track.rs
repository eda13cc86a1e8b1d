//! Headers of a track: what it is, its time scale, its codec, and how its pictures are shown.

use crate::boxes::{children, optional, required, Child, Kind, Reader};
use crate::error::{require, Error, Result};
use crate::samples::Samples;

/// Codec of a video track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// H.264 (ISO/IEC 14496-15, clause 5).
    H264,
    /// HEVC (ISO/IEC 14496-15, clause 8).
    Hevc,
}

/// A video track.
#[derive(Debug, Clone)]
pub struct Track {
    /// The codec.
    pub codec: Codec,
    /// The configuration record (avcC or hvcC).
    pub configuration: Vec<u8>,
    /// Width of the coded pictures.
    pub width: u16,
    /// Height of the coded pictures.
    pub height: u16,
    /// Ticks per second.
    pub time_scale: u32,
    /// Duration in ticks, as libavformat reports it; None for movie fragments.
    pub duration: Option<i64>,
    /// Samples and the sum of their durations, from which the frame rate follows; None for movie fragments.
    pub rate: Option<(u64, u64)>,
    /// Display matrix, row by row.
    pub matrix: [i32; 9],
    /// Sample aspect ratio of the container (horizontal, vertical).
    pub aspect: Option<(u32, u32)>,
    /// The samples.
    pub samples: Samples,
}

/// An entry of an edit list: duration in ticks of the movie, start in ticks of the track, -1 for an empty one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edit {
    pub duration: u64,
    pub start: i64,
}

/// A video track before its samples are read.
#[derive(Debug)]
pub(crate) struct Headers<'a> {
    pub id: u32,
    pub track: Track,
    /// Duration in the media header.
    pub media_duration: u64,
    pub edits: Vec<Edit>,
    /// Boxes of the sample table.
    pub tables: Vec<Child<'a>>,
}

const UNITY: i32 = 1 << 16;
const IDENTITY: [i32; 9] = [UNITY, 0, 0, 0, UNITY, 0, 0, 0, 1 << 30];
const VIDEO: &Kind = b"vide";

/// Ticks per second of a movie, which must not be transformed as a whole.
pub(crate) fn movie_time_scale(mvhd: &[u8]) -> Result<u32> {
    let mut reader = Reader(mvhd);
    let (version, _) = reader.version()?;
    reader.bytes(if version == 1 { 16 } else { 8 })?;
    let time_scale = reader.u32()?;
    reader.bytes(if version == 1 { 8 } else { 4 } + 16)?;
    require(matrix(&mut reader)? == IDENTITY, "the movie is transformed")?;
    require(
        time_scale > 0 && time_scale <= i32::MAX as u32,
        "the movie has no time scale",
    )?;
    Ok(time_scale)
}

fn matrix(reader: &mut Reader<'_>) -> Result<[i32; 9]> {
    let mut values = [0; 9];
    for value in &mut values {
        *value = reader.i32()?;
    }
    Ok(values)
}

/// Whether a track holds video.
pub(crate) fn is_video(trak: &[u8]) -> Result<bool> {
    let media = children(required(&children(trak)?, b"mdia")?)?;
    let mut reader = Reader(required(&media, b"hdlr")?);
    reader.bytes(8)?;
    Ok(reader.kind()? == *VIDEO)
}

/// Number of a track.
pub(crate) fn track_id(trak: &[u8]) -> Result<u32> {
    let mut reader = Reader(required(&children(trak)?, b"tkhd")?);
    let (version, _) = reader.version()?;
    reader.bytes(if version == 1 { 16 } else { 8 })?;
    reader.u32()
}

impl<'a> Headers<'a> {
    /// Reads the headers of a video track.
    pub fn read(trak: &'a [u8]) -> Result<Self> {
        let boxes = children(trak)?;
        let media = children(required(&boxes, b"mdia")?)?;
        let information = children(required(&media, b"minf")?)?;
        let tables = children(required(&information, b"stbl")?)?;
        require_data_in_file(&information)?;
        let (id, matrix, shown_size) = track_header(required(&boxes, b"tkhd")?)?;
        let (time_scale, media_duration) = media_header(required(&media, b"mdhd")?)?;
        let mut track = sample_entry(required(&tables, b"stsd")?)?;
        (track.matrix, track.time_scale) = (matrix, time_scale);
        let size = (u32::from(track.width) << 16, u32::from(track.height) << 16);
        require(
            track.aspect.is_some() || shown_size == size,
            "the track is scaled",
        )?;
        let edits = match optional(&boxes, b"edts")? {
            Some(edts) => edit_list(edts)?,
            None => Vec::new(),
        };
        Ok(Headers {
            id,
            track,
            media_duration,
            edits,
            tables,
        })
    }
}

/// Track id, display matrix, and size of the shown picture in 16.16 fixed point.
fn track_header(tkhd: &[u8]) -> Result<(u32, [i32; 9], (u32, u32))> {
    let mut reader = Reader(tkhd);
    let (version, _) = reader.version()?;
    require(version <= 1, "an unknown version of a track header")?;
    reader.bytes(if version == 1 { 16 } else { 8 })?;
    let id = reader.u32()?;
    reader.bytes(4 + if version == 1 { 8 } else { 4 } + 16)?;
    let matrix = matrix(&mut reader)?;
    let [a, b, u, c, d, v, _, _, w] = matrix;
    // Other scales become a sample aspect ratio in libavformat.
    let turned = [a, b, c, d].map(i32::unsigned_abs);
    let unit = UNITY.unsigned_abs();
    let right_angle = turned == [unit, 0, 0, unit] || turned == [0, unit, unit, 0];
    require(
        right_angle && (u, v, w) == (0, 0, 1 << 30),
        "the track is scaled or skewed",
    )?;
    Ok((id, matrix, (reader.u32()?, reader.u32()?)))
}

/// Time scale and duration, 0 if it is unknown.
pub(crate) fn media_header(mdhd: &[u8]) -> Result<(u32, u64)> {
    let mut reader = Reader(mdhd);
    let (version, _) = reader.version()?;
    require(version <= 1, "an unknown version of a media header")?;
    reader.bytes(if version == 1 { 16 } else { 8 })?;
    let time_scale = reader.u32()?;
    require(
        time_scale > 0 && time_scale <= i32::MAX as u32,
        "the track has no time scale",
    )?;
    let (duration, unknown) = match version {
        1 => (reader.u64()?, i64::MAX as u64),
        _ => (u64::from(reader.u32()?), u64::from(u32::MAX)),
    };
    Ok((time_scale, if duration < unknown { duration } else { 0 }))
}

/// Refuses tracks whose data are in other files.
pub(crate) fn require_data_in_file(information: &[Child<'_>]) -> Result<()> {
    let dinf = children(required(information, b"dinf")?)?;
    let mut reader = Reader(required(&dinf, b"dref")?);
    reader.version()?;
    let count = reader.count(12)?;
    let references = children(reader.0)?;
    require(references.len() == count, "counts of references differ")?;
    for reference in references {
        let (_, flags) = Reader(reference.body).version()?;
        require(flags & 1 == 1, "the data are in another file")?;
    }
    Ok(())
}

/// Codec, configuration record, size and aspect ratio of the only sample entry.
fn sample_entry(stsd: &[u8]) -> Result<Track> {
    let mut reader = Reader(stsd);
    reader.version()?;
    require(reader.u32()? == 1, "several sample entries")?;
    let entries = children(reader.0)?;
    let [entry] = entries.as_slice() else {
        return Err(Error::Unfit("several sample entries"));
    };
    let (codec, record): (_, &Kind) = match &entry.kind {
        b"avc1" | b"avc3" => (Codec::H264, b"avcC"),
        b"hvc1" | b"hev1" => (Codec::Hevc, b"hvcC"),
        _ => return Err(Error::Unfit("no sample entry of H.264 or HEVC")),
    };
    let mut reader = Reader(entry.body);
    reader.bytes(6)?;
    require(reader.u16()? == 1, "the data are in another file")?;
    reader.bytes(16)?;
    let (width, height) = (reader.u16()?, reader.u16()?);
    require(width > 0 && height > 0, "the track has no picture size")?;
    reader.bytes(50)?;
    let boxes = children(reader.0)?;
    let plain = |child: &Child<'_>| !matches!(&child.kind, b"sinf" | b"lhvC" | b"clap" | b"glbl");
    require(
        boxes.iter().all(plain),
        "the sample entry has special boxes",
    )?;
    let aspect = match optional(&boxes, b"pasp")? {
        Some(pasp) => aspect_ratio(pasp)?,
        None => None,
    };
    let configuration = required(&boxes, record)?;
    require(
        has_usual_lengths(codec, configuration),
        "an unusual configuration record",
    )?;
    Ok(Track {
        codec,
        configuration: configuration.to_vec(),
        width,
        height,
        time_scale: 0,
        duration: None,
        rate: None,
        matrix: IDENTITY,
        aspect,
        samples: Samples::default(),
    })
}

/// Whether a configuration record is of version 1 and lengths of units have 4 bytes: libavformat's parser and
/// this project's guess differently where they contradict the samples.
fn has_usual_lengths(codec: Codec, record: &[u8]) -> bool {
    let place = match codec {
        Codec::H264 => 4,
        Codec::Hevc => 21,
    };
    let lengths = record.get(place).map(|byte| byte & 3);
    record.first() == Some(&1) && lengths == Some(3)
}

fn aspect_ratio(pasp: &[u8]) -> Result<Option<(u32, u32)>> {
    const MAX: u32 = i32::MAX as u32;
    let mut reader = Reader(pasp);
    let (horizontal, vertical) = (reader.u32()?, reader.u32()?);
    let plausible = |value| (1..=MAX).contains(&value);
    require(
        plausible(horizontal) && plausible(vertical),
        "an unusual sample aspect ratio",
    )?;
    Ok(Some((horizontal, vertical)))
}

fn edit_list(edts: &[u8]) -> Result<Vec<Edit>> {
    let boxes = children(edts)?;
    let Some(elst) = optional(&boxes, b"elst")? else {
        return Ok(Vec::new());
    };
    let mut reader = Reader(elst);
    let (version, _) = reader.version()?;
    require(version <= 1, "an unknown version of an edit list")?;
    let size = if version == 1 { 20 } else { 12 };
    let count = reader.count(size)?;
    // libavformat counts the entries by the size of the box.
    require(reader.0.len() == count * size, "counts of edits differ")?;
    let mut edits = Vec::with_capacity(count);
    for _ in 0..count {
        let (duration, start) = match version {
            1 => (reader.u64()?, reader.i64()?),
            _ => (u64::from(reader.u32()?), i64::from(reader.i32()?)),
        };
        require(reader.u32()? == 1 << 16, "an edit changes the rate")?;
        require(start >= -1, "an edit starts before the track")?;
        edits.push(Edit { duration, start });
    }
    Ok(edits)
}
