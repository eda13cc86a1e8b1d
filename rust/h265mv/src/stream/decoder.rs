//! Sequential decoding: NAL units in, pictures out, in decoding order.

use bitstream::Options;

use super::parse::Picture;
use super::pipeline::Pipeline;
use super::plan::PicturePlan;
use super::pool::Pool;
use super::tracker::Tracker;
use crate::error::Result;

/// Parses motion from NAL units that are pushed to it.
#[derive(Debug)]
pub struct Decoder {
    tracker: Tracker,
    pipeline: Pipeline,
    intra: bool,
    /// A picture of I slices alone, until it is known whether another one follows.
    held: Option<PicturePlan>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(options: &Options) -> Self {
        Decoder {
            tracker: Tracker::new(false),
            pipeline: Pipeline::new(options.threads),
            intra: options.intra,
            held: None,
        }
    }

    /// Adds a NAL unit, without start code or length. `sample` is returned as
    /// [`crate::PictureInfo::sample`]. After an error, the next unit can be pushed.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        let pushed = self.tracker.push(nal, nal.len(), sample);
        self.add(pushed.complete);
        pushed.result
    }

    fn add(&mut self, plan: Option<PicturePlan>) {
        let Some(plan) = plan else {
            return;
        };
        self.release();
        if !self.intra && plan.is_intra() {
            self.held = Some(plan);
        } else {
            self.pipeline.push(plan);
        }
    }

    /// Ends an access unit or the stream.
    pub fn end_of_access_unit(&mut self) {
        let plan = self.tracker.end_of_access_unit();
        self.add(plan);
    }

    /// Gives out the last picture, if it is one of I slices whose data are not parsed: it otherwise waits for
    /// the next picture, since the last one of a stream is parsed.
    pub fn release(&mut self) {
        if let Some(mut held) = self.held.take() {
            held.skip_slice_data();
            self.pipeline.push(held);
        }
    }

    /// Ends the stream: [`Self::next_picture`] returns all its pictures.
    pub fn finish(&mut self) {
        self.end_of_access_unit();
        if let Some(last) = self.held.take() {
            self.pipeline.push(last);
        }
        self.pipeline.end();
    }

    /// The next picture in decoding order, once enough of the stream was pushed. Fetch all pictures after
    /// each push: this bounds the memory.
    pub fn next_picture(&mut self) -> Option<Picture> {
        self.pipeline.next()
    }

    /// Spare arrays, for [`Pool::recycle`].
    pub fn pool(&self) -> &Pool {
        self.pipeline.pool()
    }
}
