//! Random access: headers of a whole stream, motion of chosen pictures.

use std::collections::{HashMap, HashSet};

use bitstream::index_log::{self, Entries};
use bitstream::Options;

use crate::error::{Error, Result};
use crate::stream::header_parser::HeaderParser;
use crate::stream::picture::{Picture, PictureInfo};
use crate::stream::pipeline::Pipeline;
use crate::stream::plan::PicturePlan;
use crate::syntax::nal_unit::nal_unit_type;

/// Maximum number of errors kept.
const MAX_ERRORS: usize = 1000;

/// Headers of a stream's pictures, without slice data.
///
/// Push all NAL units, then parse pictures by position in decoding order.
#[derive(Debug, Clone)]
pub struct StreamIndex {
    headers: HeaderParser,
    plans: Vec<PicturePlan>,
    /// Positions of the one or two pictures of each frame, by frame.
    frames: HashMap<u32, Vec<usize>>,
    log: Vec<u8>,
    /// Sample and error.
    errors: Vec<(u64, Error)>,
}

impl Default for StreamIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamIndex {
    /// An empty index.
    pub fn new() -> Self {
        StreamIndex {
            headers: HeaderParser::new(true),
            plans: Vec::new(),
            frames: HashMap::new(),
            log: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds a NAL unit. After an error, the next one can be pushed.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        self.push_start(nal, nal.len(), sample)
    }

    fn push_start(&mut self, nal: &[u8], size: usize, sample: u64) -> Result<()> {
        let pushed = self.headers.push_start(nal, size, sample);
        let length = bytes_to_log(nal, self.headers.header_bits());
        index_log::append(&mut self.log, nal, size, sample, length);
        let plan = pushed.inspect_err(|error| {
            let header = nal.first().copied().unwrap_or(0);
            let is_slice = matches!(header & 31, nal_unit_type::SLICE..=nal_unit_type::IDR_SLICE);
            if is_slice || header & 0x80 != 0 {
                self.record_error(sample, error.clone());
            }
        })?;
        self.add(plan);
        Ok(())
    }

    /// Records that slices of a sample are lost, for example because its framing is broken.
    pub fn record_error(&mut self, sample: u64, error: Error) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push((sample, error));
        }
    }

    /// Slices that could not be added to a picture: sample and error.
    pub fn errors(&self) -> &[(u64, Error)] {
        &self.errors
    }

    /// Ends an access unit or the stream.
    pub fn end_of_access_unit(&mut self) {
        index_log::append(&mut self.log, &[], 0, u64::MAX, 0);
        let plan = self.headers.end_of_access_unit();
        self.add(plan);
    }

    /// The index in saved form, for [`Self::from_log`].
    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// Rebuilds an index from [`Self::log`]; `log` may be damaged.
    pub fn from_log(log: &[u8]) -> Result<Self> {
        let mut index = StreamIndex::new();
        for entry in Entries(log) {
            let entry = entry?;
            if entry.size == 0 && entry.sample == u64::MAX {
                index.end_of_access_unit();
                continue;
            }
            let pushed = index.push_start(&entry.start, entry.size, entry.sample);
            if let Err(error @ Error::Unsupported { .. }) = pushed {
                return Err(error);
            }
        }
        index.end_of_access_unit();
        index.log = log.to_vec();
        Ok(index)
    }

    /// Difference in PicOrderCnt between consecutive frames: the most common one, 2 if there is none.
    pub fn poc_interval(&self) -> i64 {
        let infos = self.plans.iter().map(|p| &p.info);
        let mut pocs: Vec<_> = infos.map(|i| (i.period, i.order_poc, i.frame)).collect();
        pocs.sort_unstable();
        let mut frames = HashSet::new();
        pocs.retain(|&(_, _, frame)| frames.insert(frame));
        let mut counts: HashMap<i64, usize> = HashMap::new();
        for pair in pocs.windows(2) {
            let step = pair[1].1 as i64 - pair[0].1 as i64;
            if pair[0].0 == pair[1].0 && step > 0 {
                *counts.entry(step).or_default() += 1;
            }
        }
        let most_common = counts
            .into_iter()
            .max_by_key(|&(step, count)| (count, -step));
        most_common.map_or(2, |(step, _)| step)
    }

    fn add(&mut self, plan: Option<PicturePlan>) {
        if let Some(plan) = plan {
            let frame = plan.info.frame;
            self.frames.entry(frame).or_default().push(self.plans.len());
            self.plans.push(plan);
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// Whether there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// Header information of a picture.
    pub fn info(&self, position: usize) -> Option<&PictureInfo> {
        self.plans.get(position).map(|p| &p.info)
    }

    /// Positions in presentation order.
    pub fn presentation_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.plans.len()).collect();
        order.sort_by_key(|&i| (self.plans[i].info.period, self.plans[i].info.order_poc));
        order
    }

    /// Pictures that must be parsed for those at `positions`: they and the pictures that their direct
    /// modes read, in decoding order.
    pub fn needed(&self, positions: &[usize]) -> Vec<usize> {
        let mut needed = vec![false; self.plans.len()];
        for &position in positions {
            if let Some(flag) = needed.get_mut(position) {
                *flag = true;
            }
        }
        // Pictures depend on earlier ones only: one pass from the end finds all of them.
        for position in (0..self.plans.len()).rev() {
            if !needed[position] {
                continue;
            }
            for frame in self.plans[position].colocated_frames() {
                let parts = self.frames.get(&frame).into_iter().flatten();
                parts
                    .filter(|&&part| part < position)
                    .for_each(|&part| needed[part] = true);
            }
        }
        (0..needed.len()).filter(|&p| needed[p]).collect()
    }

    /// Whether the slice data of a picture are not parsed ([`Options::intra`]).
    fn is_skipped(&self, position: usize, options: &Options) -> bool {
        !options.intra && position + 1 < self.plans.len() && self.plans[position].is_intra()
    }

    /// Samples that [`Self::parse`] reads for the pictures at `needed`.
    pub fn samples(&self, needed: &[usize], options: &Options) -> Vec<u64> {
        let mut samples: Vec<u64> = needed
            .iter()
            .filter(|&&p| !self.is_skipped(p, options))
            .flat_map(|&p| self.plans[p].samples())
            .collect();
        samples.sort_unstable();
        samples.dedup();
        samples
    }

    /// Parses the pictures at `positions` and returns them in that order. `units` returns a NAL unit by
    /// sample and index among the units of that sample.
    pub fn parse<'a>(
        &self,
        positions: &[usize],
        options: &Options,
        units: impl Fn(u64, u32) -> Option<&'a [u8]>,
    ) -> Result<Vec<Picture>> {
        if let Some(&position) = positions.iter().find(|&&p| p >= self.plans.len()) {
            return Err(Error::Limit {
                what: "picture position",
                value: position as u64,
                limit: self.plans.len() as u64,
            });
        }
        let needed = self.needed(positions);
        let last_use: HashMap<usize, usize> = positions.iter().copied().zip(0..).collect();
        let mut pictures: HashMap<usize, Picture> = HashMap::new();
        let mut pipeline = Pipeline::new(options.threads.min(needed.len()));
        let mut parsed = needed.iter();
        let mut collect = |pipeline: &mut Pipeline| {
            while let Some(picture) = pipeline.next() {
                match parsed.next().filter(|p| last_use.contains_key(p)) {
                    Some(&position) => drop(pictures.insert(position, picture)),
                    None => pipeline.pool().recycle(picture.motion, picture.ref_poc),
                }
            }
        };
        for &position in &needed {
            let mut plan = self.plans[position].clone();
            let number = plan.info.decode_index;
            if self.is_skipped(position, options) {
                plan.skip_slice_data();
            } else {
                plan.attach(&units).map_err(|e| e.in_picture(number))?;
            }
            pipeline.push(plan);
            collect(&mut pipeline);
        }
        pipeline.end();
        collect(&mut pipeline);
        let take = |(i, position): (usize, &usize)| match last_use[position] == i {
            true => pictures.remove(position),
            false => pictures.get(position).cloned(),
        };
        Ok(positions.iter().enumerate().filter_map(take).collect())
    }
}

/// Bytes of a unit that the log keeps. `header_bits` is the end of its slice header or SEI messages in the
/// RBSP, 0 if unknown.
fn bytes_to_log(nal: &[u8], header_bits: usize) -> usize {
    match nal.first().map_or(0, |header| header & 31) {
        nal_unit_type::SLICE | nal_unit_type::IDR_SLICE | nal_unit_type::SEI if header_bits > 0 => {
            index_log::bytes_of_header(header_bits)
        }
        nal_unit_type::SLICE | nal_unit_type::IDR_SLICE => index_log::DAMAGED_SLICE_BYTES,
        nal_unit_type::SPS | nal_unit_type::PPS => nal.len(),
        nal_unit_type::SLICE_EXTENSION => 2, // distinguishes layers from views
        _ => 1,
    }
}
