//! Edit lists (ISO/IEC 14496-12, 8.6.6), applied as by libavformat (mov_fix_index in libavformat/mov.c).
//!
//! Pictures outside of an edit are kept where those inside need them for decoding, and are not shown. Times
//! are those of the edited presentation.

use crate::error::{require, Error, Result};
use crate::samples::{Sample, Samples, MAX_SAMPLES};
use crate::tables::Table;
use crate::track::Edit;

/// Ticks beyond which sums are not computed.
const MAX_TICKS: i64 = 1 << 61;

/// An edit in ticks of the track.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: i64,
    duration: i64,
}

impl Range {
    fn end(self) -> i64 {
        self.start + self.duration
    }
}

/// `ticks * to / from`, rounded to the nearest (av_rescale).
pub(crate) fn rescale(ticks: u64, to: u32, from: u32) -> Result<i64> {
    let scaled = (u128::from(ticks) * u128::from(to) + u128::from(from / 2)) / u128::from(from);
    let scaled = i64::try_from(scaled)
        .ok()
        .filter(|&ticks| ticks < MAX_TICKS);
    scaled.ok_or(Error::Unfit("an edit of unusual length"))
}

/// The samples of a track with times, without edit lists.
pub(crate) fn without_edits(table: &Table) -> Samples {
    let mut samples = Samples::default();
    for sample in &table.samples {
        samples.push(
            sample,
            sample.time - table.shift,
            sample.time + sample.offset,
            true,
        );
    }
    samples
}

/// The samples that `edits` ask for, and the duration that they last; `time_scale` and `movie_time_scale`
/// are ticks per second.
pub(crate) fn apply(
    table: &Table,
    edits: &[Edit],
    time_scale: u32,
    movie_time_scale: u32,
) -> Result<(Samples, i64)> {
    let mut state = State::new(table);
    let start = -table.shift.max(0);
    let (mut end, mut empty, mut found) = (start, 0i64, false);
    for edit in edits {
        let range = Range {
            start: edit.start,
            duration: rescale(edit.duration, time_scale, movie_time_scale)?,
        };
        require(
            range.duration > 0 && range.start < MAX_TICKS,
            "an edit of unusual length",
        )?;
        let begin = end;
        end += range.duration;
        require(end < MAX_TICKS, "an edit of unusual length")?;
        if !found && range.start == -1 {
            empty += range.duration;
            continue;
        }
        require(range.start >= 0, "an empty edit inside the presentation")?;
        // Durations of samples that edits repeat depend on the duration of the track.
        require(
            !found || table.has_offsets,
            "several edits of samples without offsets",
        )?;
        found = true;
        state.add(range, begin)?;
    }
    let samples = state.finish(empty);
    require(
        samples.shown.contains(&true),
        "the edit list shows no picture",
    )?;
    Ok((samples, end - start))
}

struct State<'a> {
    table: &'a Table,
    samples: Samples,
    /// The least time of presentation within the edits.
    first_pts: Option<i64>,
}

impl<'a> State<'a> {
    fn new(table: &'a Table) -> Self {
        State {
            table,
            samples: Samples::default(),
            first_pts: None,
        }
    }

    fn dts(&self, sample: &Sample) -> i64 {
        sample.time - self.table.shift
    }

    /// Adds the samples of an edit that is presented from `begin` on.
    fn add(&mut self, range: Range, begin: i64) -> Result<()> {
        let (old, shift) = (&self.table.samples, self.table.shift);
        let mut time = begin;
        let mut before = Vec::new(); // durations of the samples before the edit
        let (mut started, mut key_behind) = (false, false);
        let has_offsets = self.table.has_offsets;
        for (index, sample) in old.iter().enumerate().skip(self.start_of(range.start)) {
            let duration = match old.get(index + 1) {
                Some(next) => next.time - sample.time,
                None => range.duration,
            };
            let pts = sample.time + sample.offset;
            let inside = range.start <= pts && pts < range.end();
            if inside {
                let shown_at = time + sample.offset + shift;
                self.first_pts = Some(self.first_pts.map_or(shown_at, |first| first.min(shown_at)));
            }
            if inside && !started {
                started = true;
                let mut back = time;
                for (dts, duration) in self.samples.dts.iter_mut().rev().zip(before.iter().rev()) {
                    back -= duration;
                    *dts = back;
                }
            } else if !started {
                before.push(duration);
            }
            require(self.samples.len() < MAX_SAMPLES, "too many samples")?;
            self.samples.push(sample, time, sample.offset, inside);
            if started {
                time += duration;
            }
            if pts + duration >= range.end() && sample.key {
                if !has_offsets || key_behind {
                    break;
                }
                key_behind = true; // pictures before it in presentation may follow
            }
        }
        Ok(())
    }

    /// The sample at which decoding for a time of presentation starts (find_prev_closest_index, and what
    /// mov_fix_index does if it finds none).
    fn start_of(&self, pts: i64) -> usize {
        let old = &self.table.samples;
        let wanted = pts - self.table.shift.max(0);
        let behind = old.partition_point(|sample| self.dts(sample) <= wanted);
        let fits = |sample: &Sample| {
            sample.key && (!self.table.has_offsets || self.dts(sample) + sample.offset <= wanted)
        };
        let any = if self.table.has_offsets {
            0
        } else {
            behind.saturating_sub(1)
        };
        old[..behind].iter().rposition(fits).unwrap_or(any)
    }

    /// Moves times of decoding so that the first picture is shown at 0 or behind the empty edits, and adds
    /// the offsets.
    fn finish(mut self, empty: i64) -> Samples {
        let early = (self.first_pts.unwrap_or(-1) - empty).max(0);
        for (pts, dts) in self.samples.pts.iter_mut().zip(&mut self.samples.dts) {
            *dts -= early;
            *pts += *dts + self.table.shift;
        }
        self.samples
    }
}
