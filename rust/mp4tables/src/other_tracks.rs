//! Tracks that are not read. libavformat reads their headers and tables, and gives up the whole file where they
//! are damaged; and it may take one for a video track whose handler names no video.

use crate::boxes::{children, required, Child, Kind, Reader};
use crate::error::{require, Result};
use crate::tables;
use crate::track::{media_header, require_data_in_file};

/// Sample entries of tracks that hold neither video nor audio: timecodes, text and measurements.
const DATA_ENTRIES: [&Kind; 15] = [
    b"tmcd", b"text", b"tx3g", b"c608", b"c708", b"wvtt", b"stpp", b"mp4s", b"rtp ", b"mebx",
    b"mett", b"metx", b"gpmd", b"camm", b"fdsc",
];

/// Refuses a track that is damaged, or that may be one of video although it does not say so.
///
/// Descriptions of audio codecs are not looked at.
pub(crate) fn check(trak: &[u8], file_size: u64) -> Result<()> {
    let media = children(required(&children(trak)?, b"mdia")?)?;
    media_header(required(&media, b"mdhd")?)?;
    let information = children(required(&media, b"minf")?)?;
    require_data_in_file(&information)?;
    let boxes = children(required(&information, b"stbl")?)?;
    let mut handler = Reader(required(&media, b"hdlr")?);
    handler.bytes(8)?;
    let entries = sample_entries(required(&boxes, b"stsd")?)?;
    let is_data = |entry: &Child<'_>| DATA_ENTRIES.contains(&&entry.kind);
    let is_plain = match &handler.kind()? {
        b"soun" => true,
        _ => entries.iter().all(is_data),
    };
    require(is_plain, "a track of unknown kind")?;
    tables::check_other(&boxes, file_size)
}

fn sample_entries(stsd: &[u8]) -> Result<Vec<Child<'_>>> {
    let mut reader = Reader(stsd);
    reader.version()?;
    let count = reader.u32()? as usize;
    let entries = children(reader.0)?;
    require(
        entries.len() == count && count > 0,
        "counts of sample entries differ",
    )?;
    Ok(entries)
}
