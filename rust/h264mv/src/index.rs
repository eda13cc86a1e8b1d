//! Random access: headers of a whole stream, motion of chosen pictures.

use std::collections::{HashMap, HashSet};

use crate::decoder::Options;
use crate::error::{Error, Result};
use crate::head_log::{self, Entries};
use crate::picture::Picture;
use crate::pipeline::Pipeline;
use crate::plan::{PictureInfo, PicturePlan};
use crate::tracker::Tracker;

/// Errors that are kept word for word; more say nothing new.
const MAX_ERRORS: usize = 1000;

/// Plans of a stream's pictures without their slice data.
///
/// Build it by pushing NAL units, then ask for pictures by their position in decoding order.
#[derive(Debug, Clone)]
pub struct StreamIndex {
    tracker: Tracker,
    plans: Vec<PicturePlan>,
    /// Positions of the one or two pictures of each frame.
    frames: HashMap<u32, Vec<usize>>,
    log: Vec<u8>,
    errors: Vec<(u64, Error)>,
}

impl Default for StreamIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamIndex {
    /// An index without pictures.
    pub fn new() -> Self {
        StreamIndex {
            tracker: Tracker::new(true),
            plans: Vec::new(),
            frames: HashMap::new(),
            log: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Takes a NAL unit. An error concerns this unit alone.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        self.push_start(nal, nal.len(), sample)
    }

    fn push_start(&mut self, nal: &[u8], size: usize, sample: u64) -> Result<()> {
        let pushed = self.tracker.push_start(nal, size, sample);
        head_log::append(&mut self.log, nal, size, sample, self.tracker.header_bits());
        match pushed {
            Ok(plan) => self.add(plan),
            Err(error) => {
                let slice = nal
                    .first()
                    .is_some_and(|head| matches!(head & 31, 1..=5) || head & 0x80 != 0);
                if slice {
                    self.blame(sample, error.clone());
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Tells that slices of a sample are lost: its framing is broken.
    pub fn blame(&mut self, sample: u64, error: Error) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push((sample, error));
        }
    }

    /// Slices that could not be made part of a picture: sample and reason.
    pub fn errors(&self) -> &[(u64, Error)] {
        &self.errors
    }

    /// Tells that an access unit or the stream is complete.
    pub fn end_of_access_unit(&mut self) {
        head_log::append(&mut self.log, &[], 0, u64::MAX, 0);
        let plan = self.tracker.end_of_access_unit();
        self.add(plan);
    }

    /// The starts of all units: what [`Self::from_log`] makes the same index of.
    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// An index of what [`Self::log`] gave, or of bytes that pretend to be that.
    pub fn from_log(log: &[u8]) -> Result<Self> {
        let mut index = StreamIndex::new();
        for entry in Entries(log) {
            let entry = entry?;
            if entry.size == 0 && entry.sample == u64::MAX {
                index.end_of_access_unit();
                continue;
            }
            let pushed = index.push_start(&entry.head, entry.size, entry.sample);
            match pushed {
                Err(error @ Error::Unsupported { .. }) => return Err(error),
                _ => continue,
            }
        }
        index.end_of_access_unit();
        index.log = log.to_vec();
        Ok(index)
    }

    /// PicOrderCnt from one frame to the next: the most common step, or 2.
    pub fn poc_interval(&self) -> i64 {
        let mut pocs: Vec<(u32, i32, u32)> = self
            .plans
            .iter()
            .map(|p| (p.info.period, p.info.order_poc, p.info.frame))
            .collect();
        pocs.sort_unstable();
        let mut seen = HashSet::new();
        pocs.retain(|p| seen.insert(p.2));
        let mut steps: HashMap<i64, usize> = HashMap::new();
        for pair in pocs
            .windows(2)
            .filter(|p| p[0].0 == p[1].0 && p[1].1 > p[0].1)
        {
            *steps
                .entry(pair[1].1 as i64 - pair[0].1 as i64)
                .or_default() += 1;
        }
        let best = steps
            .into_iter()
            .max_by_key(|&(step, count)| (count, -step));
        best.map_or(2, |(step, _)| step)
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

    /// What the headers say of a picture.
    pub fn info(&self, position: usize) -> Option<&PictureInfo> {
        self.plans.get(position).map(|p| &p.info)
    }

    /// The plan of a picture.
    pub fn plan(&self, position: usize) -> Option<&PicturePlan> {
        self.plans.get(position)
    }

    /// Positions in presentation order.
    pub fn presentation_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.plans.len()).collect();
        order.sort_by_key(|&i| (self.plans[i].info.period, self.plans[i].info.order_poc));
        order
    }

    /// The pictures that have to be parsed for those at `positions`: they themselves and what
    /// their direct modes look at, in decoding order.
    pub fn needed(&self, positions: &[usize]) -> Vec<usize> {
        let mut wanted = vec![false; self.plans.len()];
        for &position in positions {
            if let Some(slot) = wanted.get_mut(position) {
                *slot = true;
            }
        }
        // Dependences point backwards only, so one pass from the end finds all of them.
        let end = positions.iter().max().map_or(0, |&last| last + 1);
        for position in (0..end.min(self.plans.len())).rev() {
            if !wanted[position] {
                continue;
            }
            for frame in self.plans[position].colocated_frames() {
                let parts = self.frames.get(&frame).map_or(&[][..], |p| p);
                parts
                    .iter()
                    .filter(|&&p| p < position)
                    .for_each(|&p| wanted[p] = true);
            }
        }
        (0..wanted.len()).filter(|&p| wanted[p]).collect()
    }

    /// Whether the slice data of a picture are left out ([`Options::intra`]).
    fn skims(&self, position: usize, options: &Options) -> bool {
        !options.intra && position + 1 < self.plans.len() && self.plans[position].is_intra()
    }

    /// The samples that [`Self::parse`] asks for, of the pictures at `needed`.
    pub fn samples(&self, needed: &[usize], options: &Options) -> Vec<u64> {
        let mut samples: Vec<u64> = needed
            .iter()
            .filter(|&&p| !self.skims(p, options))
            .flat_map(|&p| self.plans[p].samples())
            .collect();
        samples.sort_unstable();
        samples.dedup();
        samples
    }

    /// Parses the pictures at `positions`, in that order. `units` returns a NAL unit by its sample
    /// and its position among the units pushed with that sample.
    pub fn parse<'a>(
        &self,
        positions: &[usize],
        options: &Options,
        units: impl Fn(u64, u32) -> Option<&'a [u8]>,
    ) -> Result<Vec<Picture>> {
        let needed = self.needed(positions);
        let mut uses: HashMap<usize, usize> = HashMap::new();
        for &position in positions {
            *uses.entry(position).or_default() += 1;
        }
        let mut chosen: HashMap<usize, Picture> = HashMap::new();
        let mut pipeline = Pipeline::new(options.threads.min(needed.len()));
        let mut parsed = needed.iter();
        let mut take = |pipeline: &mut Pipeline| {
            while let Some(picture) = pipeline.next() {
                match parsed.next().filter(|p| uses.contains_key(p)) {
                    Some(&position) => drop(chosen.insert(position, picture)),
                    None => pipeline.pool().recycle(picture.motion, picture.ref_poc),
                }
            }
        };
        for &position in &needed {
            let mut plan = self.plans[position].clone();
            let number = plan.info.decode_index;
            if self.skims(position, options) {
                plan.skim();
            } else {
                plan.attach(&units).map_err(|e| e.in_picture(number))?;
            }
            pipeline.push(plan);
            take(&mut pipeline);
        }
        pipeline.end();
        take(&mut pipeline);
        let mut give = |position: &usize| {
            let left = uses.get_mut(position)?;
            *left -= 1;
            match *left {
                0 => chosen.remove(position),
                _ => chosen.get(position).cloned(),
            }
        };
        let give = |position| {
            give(position).ok_or(Error::Limit {
                what: "picture position",
                value: *position as u64,
                limit: self.plans.len() as u64,
            })
        };
        positions.iter().map(give).collect()
    }
}
