//! Boxes of a file, and the choice of the track.

use std::collections::HashSet;

use crate::boxes::{children, optional, required, Kind, Reader};
use crate::edits::{self, rescale};
use crate::error::{require, Error, Result};
use crate::fragments::{self, Fragments};
use crate::other_tracks;
use crate::source::ReadAt;
use crate::tables;
use crate::track::{is_video, movie_time_scale, track_id, Edit, Headers, Track};

/// Bytes that the movie box may have, about 60 for each sample.
const MAX_MOVIE_BYTES: u64 = 1 << 29;

/// Boxes that a file may have.
const MAX_BOXES: usize = 1 << 20;

/// The only video track of a file.
#[derive(Debug)]
pub struct Movie {
    /// The track.
    pub track: Track,
    /// Whether its samples are in movie fragments.
    pub fragmented: bool,
}

/// A box of the file.
struct Top {
    kind: Kind,
    start: u64,
    body: u64,
    end: u64,
}

impl Movie {
    /// Reads the tables of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] where the file should be read with libavformat.
    pub fn read<S: ReadAt + ?Sized>(source: &S) -> Result<Self> {
        let boxes = top_boxes(source)?;
        let mut movies = boxes.iter().filter(|top| top.kind == *b"moov");
        let movie = movies.next().ok_or(Error::Unfit("no movie box"))?;
        require(movies.next().is_none(), "several movie boxes")?;
        let moov = read_body(source, movie)?;
        let inside = children(&moov)?;
        require(
            optional(&inside, b"cmov")?.is_none(),
            "a compressed movie box",
        )?;
        let time_scale = movie_time_scale(required(&inside, b"mvhd")?)?;
        let traks: Vec<&[u8]> = inside
            .iter()
            .filter(|child| child.kind == *b"trak")
            .map(|child| child.body)
            .collect();
        let mut chosen = None;
        for &trak in &traks {
            if is_video(trak)? {
                // The caller is told of the others by libavformat.
                require(chosen.is_none(), "several video tracks")?;
                chosen = Some(trak);
            } else {
                other_tracks::check(trak, source.size())?;
            }
        }
        let headers = Headers::read(chosen.ok_or(Error::Unfit("no video track"))?)?;
        for &trak in &traks {
            require(
                !has_chapters_in(trak, headers.id)?,
                "a track of chapter pictures",
            )?;
        }
        let ids = traks.iter().map(|trak| track_id(trak));
        let ids: Vec<u32> = ids.collect::<Result<_>>()?;
        require(
            ids.iter().collect::<HashSet<_>>().len() == ids.len(),
            "tracks of one number",
        )?;
        let defaults = fragments::defaults(&moov, &ids)?;
        let fragment_boxes: Vec<&Top> = boxes.iter().filter(|top| top.kind == *b"moof").collect();
        let movie = match (defaults, fragment_boxes.is_empty()) {
            (None, true) => from_tables(headers, time_scale, source.size())?,
            (Some(defaults), false) => {
                require(
                    tables::read(&headers.tables, source.size())?
                        .samples
                        .is_empty(),
                    "samples both in the movie box and in fragments",
                )?;
                let delay = delay(&headers.edits, headers.track.time_scale, time_scale)?;
                let mut fragments = Fragments::new(headers.id, ids, defaults, delay, source.size());
                for moof in fragment_boxes {
                    fragments.add(&read_body(source, moof)?, moof.start)?;
                }
                let mut track = headers.track;
                track.samples = fragments.samples;
                Movie {
                    track,
                    fragmented: true,
                }
            }
            _ => return Err(Error::Unfit("fragments are missing or not announced")),
        };
        check(&movie)?;
        Ok(movie)
    }
}

fn top_boxes<S: ReadAt + ?Sized>(source: &S) -> Result<Vec<Top>> {
    let (mut boxes, mut start, file_size) = (Vec::new(), 0, source.size());
    while start < file_size {
        let mut head = [0; 16];
        let available = (file_size - start).min(16) as usize;
        require(available >= 8, "bytes behind the last box")?;
        source.read_exact_at(start, &mut head[..available])?;
        let mut reader = Reader(&head[..available]);
        let (size, kind) = (reader.u32()?, reader.kind()?);
        let (size, header) = match size {
            0 => (file_size - start, 8),
            1 => (reader.u64()?, 16),
            _ => (u64::from(size), 8),
        };
        require(
            size >= header && size <= file_size - start,
            "a box goes beyond the file",
        )?;
        require(boxes.len() < MAX_BOXES, "too many boxes")?;
        let known = match &kind {
            b"ftyp" => boxes.is_empty(),
            b"moov" | b"moof" | b"mdat" | b"free" | b"skip" | b"wide" | b"sidx" | b"styp"
            | b"mfra" | b"uuid" | b"emsg" | b"prft" => !boxes.is_empty(),
            _ => false,
        };
        require(known, "a box of unknown kind")?;
        let (body, end) = (start + header, start + size);
        boxes.push(Top {
            kind,
            start,
            body,
            end,
        });
        start = end;
    }
    Ok(boxes)
}

fn read_body<S: ReadAt + ?Sized>(source: &S, top: &Top) -> Result<Vec<u8>> {
    let size = top.end - top.body;
    require(size <= MAX_MOVIE_BYTES, "a movie box of unusual size")?;
    let mut body = vec![0; size as usize];
    source.read_exact_at(top.body, &mut body)?;
    Ok(body)
}

/// Whether a track names another as its chapters, whose pictures libavformat does not count as video.
fn has_chapters_in(trak: &[u8], track: u32) -> Result<bool> {
    let Some(tref) = optional(&children(trak)?, b"tref")? else {
        return Ok(false);
    };
    let references = children(tref)?;
    let mut ids = references
        .iter()
        .filter(|child| child.kind == *b"chap")
        .flat_map(|child| child.body.chunks(4));
    Ok(ids.any(|id| id == track.to_be_bytes()))
}

fn from_tables(headers: Headers<'_>, movie_time_scale: u32, file_size: u64) -> Result<Movie> {
    let mut track = headers.track;
    let table = tables::read(&headers.tables, file_size)?;
    let last = table.samples.last().ok_or(Error::Unfit("no samples"))?;
    let total = last.time + last.duration;
    require(headers.media_duration > 0, "the track has no duration")?;
    let mut duration = headers.media_duration.min(total as u64) as i64;
    track.rate = Some((table.samples.len() as u64, total as u64));
    track.samples = if headers.edits.is_empty() {
        edits::without_edits(&table)
    } else {
        let applied = edits::apply(&table, &headers.edits, track.time_scale, movie_time_scale)?;
        duration = duration.min(applied.1);
        applied.0
    };
    track.duration = Some(duration);
    Ok(Movie {
        track,
        fragmented: false,
    })
}

/// What an edit list subtracts from the times of fragments: the start of its only edit, less the length of
/// an empty one before it.
fn delay(edits: &[Edit], time_scale: u32, movie_time_scale: u32) -> Result<i64> {
    let (empty, edits) = match edits {
        [first, rest @ ..] if first.start == -1 => (first.duration, rest),
        _ => (0, edits),
    };
    let start = match edits {
        [] => 0,
        [only] => only.start,
        _ => return Err(Error::Unfit("several edits of fragments")),
    };
    require((0..1 << 60).contains(&start), "an edit of unusual length")?;
    Ok(start - rescale(empty, time_scale, movie_time_scale)?)
}

/// Refuses samples whose times of decoding go back, or stand still in fragments: libavformat leaves some of
/// these out.
fn check(movie: &Movie) -> Result<()> {
    let samples = &movie.track.samples;
    require(!samples.is_empty(), "no samples")?;
    let least = i64::from(movie.fragmented);
    let mut steps = samples.dts.windows(2).map(|pair| pair[1] - pair[0]);
    require(steps.all(|step| step >= least), "times of decoding go back")
}
