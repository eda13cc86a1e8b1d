//! Motion of the frames that later pictures may look at.

use std::collections::HashMap;

use crate::parse::{ColocatedSource, Pool};
use crate::picture::{FrameMotion, Picture};

/// Motion by frame.
#[derive(Debug, Default)]
pub(crate) struct Frames(HashMap<u32, FrameMotion>);

impl ColocatedSource for Frames {
    fn colocated(&self, frame: u32) -> Option<FrameMotion> {
        self.0.get(&frame).cloned()
    }
}

impl Frames {
    pub fn put(&mut self, picture: &Picture) {
        let frame = self.0.entry(picture.info.frame).or_default();
        frame.put(picture.info.structure, picture.motion.clone());
    }

    pub fn insert(&mut self, frame: u32, motion: FrameMotion) {
        self.0.insert(frame, motion);
    }

    /// Forgets frames that later pictures do not refer to.
    pub fn keep(&mut self, live: &[u32], pool: &Pool) {
        self.0.retain(|frame, motion| {
            let alive = live.contains(frame);
            if !alive {
                let [top, bottom] = &mut motion.fields;
                for part in [&mut motion.frame, top, bottom] {
                    part.take().into_iter().for_each(|m| pool.recycle_motion(m));
                }
            }
            alive
        });
    }
}
