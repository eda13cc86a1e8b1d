//! Pictures of a stream, one after the other, in decoding order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::parse::{derive, parse_syntax, Picture};
use super::plan::PicturePlan;
use super::tracker::Tracker;
use crate::error::Result;
use crate::motion::field::Motion;
use crate::slice_data::Neighbours;

/// Parses motion from NAL units that are fed to it.
#[derive(Debug)]
pub struct Decoder {
    tracker: Tracker,
    near: Neighbours,
    motions: HashMap<u64, Arc<Motion>>,
    ready: VecDeque<Picture>,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            tracker: Tracker::new(false),
            near: Neighbours::default(),
            motions: HashMap::new(),
            ready: VecDeque::new(),
        }
    }
}

impl Decoder {
    /// Takes a NAL unit, without start code or length.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        let done = self.tracker.push(nal, sample)?;
        self.parse(done);
        Ok(())
    }

    /// Tells that an access unit or the stream is complete.
    pub fn end_of_access_unit(&mut self) {
        let done = self.tracker.end_of_access_unit();
        self.parse(done);
    }

    /// The next picture in decoding order, once enough of the stream was pushed.
    pub fn next_picture(&mut self) -> Option<Picture> {
        self.ready.pop_front()
    }

    fn parse(&mut self, plan: Option<PicturePlan>) {
        let Some(plan) = plan else {
            return;
        };
        let live = plan.live.clone();
        let parsed = parse_syntax(plan, &mut self.near);
        let picture = derive(
            parsed,
            |picture| self.motions.get(&picture).cloned(),
            Motion::default(),
        );
        self.motions.retain(|picture, _| live.contains(picture));
        self.motions
            .insert(picture.info.decode_index, picture.motion.clone());
        self.ready.push_back(picture);
    }
}
