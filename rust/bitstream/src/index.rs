//! Random access: headers of a whole stream, motion of chosen pictures.

use std::collections::{HashMap, HashSet};

use crate::codec::{Headers, PictureQueue, Plan, Recycle};
use crate::error::{Error, Result};
use crate::index_log::{self, Entries};
use crate::options::Options;
use crate::pipeline::Pipeline;

/// Maximum number of errors kept.
const MAX_ERRORS: usize = 1000;

/// Headers of a stream's pictures, without slice data.
///
/// Push all NAL units, then parse pictures by position in decoding order.
#[derive(Debug, Clone)]
pub struct StreamIndex<H: Headers> {
    headers: H,
    plans: Vec<H::Plan>,
    /// Positions of the one or two pictures of each frame, by frame. Others would be those of damaged streams.
    frames: HashMap<u64, [Option<u32>; 2]>,
    log: Vec<u8>,
    /// Sample and error.
    errors: Vec<(u64, Error)>,
}

impl<H: Headers> Default for StreamIndex<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Headers> StreamIndex<H> {
    /// An empty index.
    pub fn new() -> Self {
        StreamIndex {
            headers: H::new(true),
            plans: Vec::new(),
            frames: HashMap::new(),
            log: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// The parser of headers.
    pub fn headers(&self) -> &H {
        &self.headers
    }

    /// Adds a NAL unit. After an error, the next one can be pushed.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        self.push_start(nal, nal.len(), sample)
    }

    /// Adds a NAL unit of `size` bytes of which `nal` holds the start, followed by a stop bit.
    pub fn push_start(&mut self, nal: &[u8], size: usize, sample: u64) -> Result<()> {
        let pushed = self.headers.push(nal, size, sample);
        let length = self.headers.bytes_to_log(nal);
        index_log::append(&mut self.log, nal, size, sample, length);
        self.add(pushed.complete);
        pushed.result.inspect_err(|error| {
            if H::loses_slices(nal) {
                self.record_error(sample, error.clone());
            }
        })
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

    fn add(&mut self, plan: Option<H::Plan>) {
        if let Some(mut plan) = plan {
            plan.shrink();
            let [first, second] = self.frames.entry(plan.frame()).or_default();
            let position = u32::try_from(self.plans.len()).ok();
            if first.is_none() {
                *first = position;
            } else {
                *second = position;
            }
            self.plans.push(plan);
        }
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

    /// Difference in picture order count between consecutive frames: the most common one.
    pub fn poc_interval(&self) -> i64 {
        let plans = self.plans.iter();
        let mut frames: Vec<_> = plans.map(|p| (p.presentation(), p.frame())).collect();
        frames.sort_unstable();
        let mut seen = HashSet::new();
        frames.retain(|&(_, frame)| seen.insert(frame));
        let mut counts: HashMap<i64, usize> = HashMap::new();
        for pair in frames.windows(2) {
            let ((period, poc), (next_period, next_poc)) = (pair[0].0, pair[1].0);
            let step = i64::from(next_poc) - i64::from(poc);
            if period == next_period && step > 0 {
                *counts.entry(step).or_default() += 1;
            }
        }
        let counts = counts.into_iter();
        let most_common = counts.max_by_key(|&(step, count)| (count, -step));
        most_common.map_or(H::DEFAULT_POC_INTERVAL, |(step, _)| step)
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
    pub fn info(&self, position: usize) -> Option<&<H::Plan as Plan>::Info> {
        self.plans.get(position).map(Plan::info)
    }

    /// Positions in presentation order.
    pub fn presentation_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.plans.len()).collect();
        order.sort_by_key(|&i| self.plans[i].presentation());
        order
    }

    /// Pictures that must be parsed for those at `positions`: they and, transitively, their co-located
    /// pictures, in decoding order.
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
            for frame in self.plans[position].colocated() {
                let parts = self.frames.get(&frame).into_iter().flatten().flatten();
                parts
                    .map(|&part| part as usize)
                    .filter(|&part| part < position)
                    .for_each(|part| needed[part] = true);
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
    ) -> Result<Vec<<H::Queue as PictureQueue>::Picture>> {
        if let Some(&position) = positions.iter().find(|&&p| p >= self.plans.len()) {
            return Err(Error::Limit {
                what: "picture position",
                value: position as u64,
                limit: self.plans.len() as u64,
            });
        }
        let needed = self.needed(positions);
        let last_use: HashMap<usize, usize> = positions.iter().copied().zip(0..).collect();
        let mut pictures = HashMap::new();
        let mut pipeline: Pipeline<H::Queue> = Pipeline::new(options.threads.min(needed.len()));
        let mut parsed = needed.iter();
        let mut collect = |pipeline: &mut Pipeline<H::Queue>| {
            while let Some(mut picture) = pipeline.next_picture() {
                match parsed.next().filter(|p| last_use.contains_key(p)) {
                    Some(&position) => drop(pictures.insert(position, picture)),
                    None => pipeline.pool().recycle(&mut picture),
                }
            }
        };
        for &position in &needed {
            let mut plan = self.plans[position].clone();
            if self.is_skipped(position, options) {
                plan.skip_slice_data();
            } else {
                plan.attach(&units)
                    .map_err(|e| e.in_picture(position as u64))?;
            }
            pipeline.push(plan);
            collect(&mut pipeline);
        }
        pipeline.end();
        collect(&mut pipeline);
        let missing = || Error::lost_reference("a picture that was not parsed");
        let take = |(i, position): (usize, &usize)| match last_use[position] == i {
            true => pictures.remove(position).ok_or_else(missing),
            false => pictures.get(position).cloned().ok_or_else(missing),
        };
        positions.iter().enumerate().map(take).collect()
    }
}
