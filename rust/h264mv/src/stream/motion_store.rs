//! Motion of the frames that later pictures may read.

use std::collections::HashMap;

use crate::motion::colocated::FrameMotion;
use crate::stream::picture::Picture;
use crate::stream::pool::Pool;

/// Motion by frame.
#[derive(Debug, Default)]
pub(crate) struct MotionStore(HashMap<u32, FrameMotion>);

impl MotionStore {
    pub fn get(&self, frame: u32) -> Option<&FrameMotion> {
        self.0.get(&frame)
    }

    pub fn put(&mut self, picture: &Picture) {
        let frame = self.0.entry(picture.info.frame).or_default();
        frame.put(picture.info.structure, picture.motion.clone());
    }

    pub fn insert(&mut self, frame: u32, motion: FrameMotion) {
        self.0.insert(frame, motion);
    }

    /// Removes frames other than `live`; their arrays go back to the pool.
    pub fn retain(&mut self, live: &[u32], pool: &Pool) {
        self.0.retain(|frame, motion| {
            let is_live = live.contains(frame);
            if !is_live {
                let [top, bottom] = &mut motion.fields;
                for part in [&mut motion.frame, top, bottom] {
                    part.take().into_iter().for_each(|m| pool.recycle_motion(m));
                }
            }
            is_live
        });
    }
}
