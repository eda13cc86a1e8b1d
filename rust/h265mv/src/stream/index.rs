//! Random access: headers of a whole stream, motion of chosen pictures.

use std::collections::HashMap;

use bitstream::index_log::{self, Entries};
use bitstream::nal::unescape;
use bitstream::Options;

use super::parse::Picture;
use super::pipeline::Pipeline;
use super::plan::{PictureInfo, PicturePlan};
use super::tracker::Tracker;
use crate::error::{Error, Result};
use crate::syntax::nal::{unit, NalHeader};

/// Maximum number of errors kept.
const MAX_ERRORS: usize = 1000;

/// Headers of a stream's pictures, without slice data.
///
/// Push all NAL units, then parse pictures by position in decoding order.
#[derive(Debug, Clone)]
pub struct StreamIndex {
    tracker: Tracker,
    plans: Vec<PicturePlan>,
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
            tracker: Tracker::new(true),
            plans: Vec::new(),
            log: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds a NAL unit. After an error, the next one can be pushed.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        self.push_start(nal, nal.len(), sample)
    }

    fn push_start(&mut self, nal: &[u8], size: usize, sample: u64) -> Result<()> {
        let pushed = self.tracker.push(nal, size, sample);
        let length = bytes_to_log(nal, self.tracker.header_bits());
        index_log::append(&mut self.log, nal, size, sample, length);
        self.plans.extend(pushed.complete);
        pushed.result.inspect_err(|error| {
            let is_slice =
                NalHeader::parse(nal).map_or(true, |h| h.nal_unit_type <= unit::LAST_VCL);
            if is_slice {
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

    /// RASL pictures that were left out, since pictures that they refer to are not in the stream: their
    /// samples.
    pub fn skipped_rasl(&self) -> &[u64] {
        self.tracker.skipped_rasl()
    }

    /// Whether NAL units of layers above the base layer were left out.
    pub fn has_layers(&self) -> bool {
        self.tracker.has_layers()
    }

    /// Ends an access unit or the stream.
    pub fn end_of_access_unit(&mut self) {
        index_log::append(&mut self.log, &[], 0, u64::MAX, 0);
        let plan = self.tracker.end_of_access_unit();
        self.plans.extend(plan);
    }

    /// The index in saved form, for [`Self::from_log`].
    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// Rebuilds the index that returned `log`, which may be damaged.
    pub fn from_log(log: &[u8]) -> Result<Self> {
        let mut index = StreamIndex::new();
        for entry in Entries(log) {
            let entry = entry?;
            if entry.size == 0 && entry.sample == u64::MAX {
                index.end_of_access_unit();
                continue;
            }
            match index.push_start(&entry.start, entry.size, entry.sample) {
                Err(error @ Error::Unsupported { .. }) => return Err(error),
                _ => continue,
            }
        }
        index.end_of_access_unit();
        index.log = log.to_vec();
        Ok(index)
    }

    /// Difference of PicOrderCntVal from one picture to the next in order of presentation: the most common
    /// one, or 1.
    pub fn poc_interval(&self) -> i64 {
        let mut order: Vec<(u32, i32)> = self
            .plans
            .iter()
            .map(|p| (p.info.period, p.info.poc))
            .collect();
        order.sort_unstable();
        let mut counts: HashMap<i64, usize> = HashMap::new();
        for pair in order
            .windows(2)
            .filter(|p| p[0].0 == p[1].0 && p[1].1 > p[0].1)
        {
            *counts
                .entry(pair[1].1 as i64 - pair[0].1 as i64)
                .or_default() += 1;
        }
        let best = counts
            .into_iter()
            .max_by_key(|&(step, count)| (count, -step));
        best.map_or(1, |(step, _)| step)
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
        order.sort_by_key(|&i| (self.plans[i].info.period, self.plans[i].info.poc));
        order
    }

    /// Pictures to parse for those at `positions`: they and, transitively, their co-located pictures, in
    /// decoding order.
    pub fn needed(&self, positions: &[usize]) -> Vec<usize> {
        let mut needed = vec![false; self.plans.len()];
        for &position in positions {
            if let Some(slot) = needed.get_mut(position) {
                *slot = true;
            }
        }
        // References point backwards, so one pass from the end finds all of them.
        for position in (0..self.plans.len()).rev() {
            if !needed[position] {
                continue;
            }
            for picture in self.plans[position].collocated_pictures() {
                if (picture as usize) < position {
                    needed[picture as usize] = true;
                }
            }
        }
        (0..needed.len()).filter(|&p| needed[p]).collect()
    }

    /// Whether the slice data of a picture is left out ([`Options::intra`]).
    fn skips_slice_data(&self, position: usize, options: &Options) -> bool {
        !options.intra && position + 1 < self.plans.len() && self.plans[position].is_intra()
    }

    /// Samples that [`Self::parse`] reads for the pictures at `needed`.
    pub fn samples(&self, needed: &[usize], options: &Options) -> Vec<u64> {
        let mut samples: Vec<u64> = needed
            .iter()
            .filter(|&&p| !self.skips_slice_data(p, options))
            .flat_map(|&p| self.plans[p].samples())
            .collect();
        samples.sort_unstable();
        samples.dedup();
        samples
    }

    /// Parses the pictures at `positions`, in that order. `units` returns a NAL unit by its sample and its
    /// position among the units pushed with that sample.
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
        let mut pictures: HashMap<usize, Picture> = HashMap::new();
        let mut pipeline = Pipeline::new(options.threads.min(needed.len()));
        let mut fetch = |pipeline: &mut Pipeline| {
            while let Some(picture) = pipeline.next() {
                let position = picture.info.decode_index as usize;
                if positions.contains(&position) {
                    pictures.insert(position, picture);
                } else {
                    pipeline.pool().recycle(picture.motion);
                }
            }
        };
        for &position in &needed {
            let mut plan = self.plans[position].clone();
            if self.skips_slice_data(position, options) {
                plan.skip_slice_data();
            } else {
                attach(&mut plan, &units)?;
            }
            pipeline.push(plan);
            fetch(&mut pipeline);
        }
        pipeline.end();
        fetch(&mut pipeline);
        let missing = || Error::lost_reference("a picture that was not parsed");
        positions
            .iter()
            .map(|position| pictures.get(position).cloned().ok_or_else(missing))
            .collect()
    }
}

/// Adds the slice data to a plan.
fn attach<'a>(plan: &mut PicturePlan, units: impl Fn(u64, u32) -> Option<&'a [u8]>) -> Result<()> {
    let number = plan.info.decode_index;
    for segment in &mut plan.segments {
        let (sample, position) = segment.place;
        let nal = units(sample, position).filter(|nal| nal.len() > NalHeader::SIZE);
        let missing = || Error::malformed("slice_segment_layer_rbsp: missing").in_picture(number);
        unescape(
            &nal.ok_or_else(missing)?[NalHeader::SIZE..],
            &mut segment.rbsp,
        );
    }
    Ok(())
}

/// Bytes of a unit that the log keeps. `header_bits` is the end of its slice segment header in the RBSP, 0
/// if unknown.
fn bytes_to_log(nal: &[u8], header_bits: usize) -> usize {
    let Ok(header) = NalHeader::parse(nal) else {
        return NalHeader::SIZE;
    };
    match header.nal_unit_type {
        _ if header.nuh_layer_id > 0 => NalHeader::SIZE,
        _ if header.is_slice() && header_bits > 0 => {
            NalHeader::SIZE + index_log::bytes_of_header(header_bits)
        }
        _ if header.is_slice() => index_log::DAMAGED_SLICE_BYTES,
        unit::SPS | unit::PPS => nal.len(),
        _ => NalHeader::SIZE,
    }
}
