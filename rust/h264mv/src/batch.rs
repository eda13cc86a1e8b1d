//! Parsing several pictures at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use crate::parse::{parse_picture, ColocatedSource, Pool, Workspace};
use crate::picture::{FrameMotion, Picture};
use crate::plan::PicturePlan;

/// Motion of the frames that later pictures may look at.
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

    /// Forgets frames that later pictures do not refer to.
    pub fn keep(&mut self, live: &[u32], pool: &Pool) {
        self.0.retain(|frame, motion| {
            let alive = live.contains(frame);
            if !alive {
                let [top, bottom] = &mut motion.fields;
                for part in [&mut motion.frame, top, bottom] {
                    part.take().into_iter().for_each(|m| pool.recycle(m));
                }
            }
            alive
        });
    }
}

/// Pictures parsed in parallel. Those that look at no other are taken first, then the others, each
/// kind in decoding order. A picture waits only for earlier ones, which are taken before it, so some
/// thread can always go on.
struct Batch<'a> {
    plans: &'a [PicturePlan],
    order: Vec<usize>,
    earlier: &'a Frames,
    next: AtomicUsize,
    done: Mutex<Vec<Option<Picture>>>,
    wake: Condvar,
}

/// Co-located motion for one picture of a batch.
struct BatchSource<'a, 'b> {
    batch: &'b Batch<'a>,
    index: usize,
}

impl ColocatedSource for BatchSource<'_, '_> {
    fn colocated(&self, frame: u32) -> Option<FrameMotion> {
        let batch = self.batch;
        let mut motion = batch.earlier.colocated(frame).unwrap_or_default();
        for i in 0..self.index {
            if batch.plans[i].info.frame == frame {
                let picture = batch.wait(i)?;
                motion.put(picture.info.structure, picture.motion);
            }
        }
        Some(motion)
    }
}

impl<'a> Batch<'a> {
    fn new(plans: &'a [PicturePlan], earlier: &'a Frames) -> Self {
        let mut order: Vec<usize> = (0..plans.len()).collect();
        order.sort_by_key(|&index| !plans[index].colocated_frames().is_empty());
        Batch {
            plans,
            order,
            earlier,
            next: AtomicUsize::new(0),
            done: Mutex::new(vec![None; plans.len()]),
            wake: Condvar::new(),
        }
    }

    fn work(&self, work: &mut Workspace) {
        loop {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&index) = self.order.get(turn) else {
                return;
            };
            let plan = &self.plans[index];
            let source = BatchSource { batch: self, index };
            let picture = parse_picture(plan, &source, work);
            if let Ok(mut done) = self.done.lock() {
                done[index] = Some(picture);
            }
            self.wake.notify_all();
        }
    }

    fn wait(&self, index: usize) -> Option<Picture> {
        let mut done = self.done.lock().ok()?;
        while done[index].is_none() {
            done = self.wake.wait(done).ok()?;
        }
        done[index].clone()
    }

    fn into_pictures(self) -> Vec<Picture> {
        let done = self.done.into_inner().unwrap_or_default();
        done.into_iter().flatten().collect()
    }
}

/// Parses pictures, given in decoding order, on one thread per workspace. The result does not
/// depend on how many there are.
pub(crate) fn parse_all(
    plans: &[PicturePlan],
    earlier: &Frames,
    workspaces: &mut [Workspace],
) -> Vec<Picture> {
    let batch = Batch::new(plans, earlier);
    let used = workspaces.len().min(plans.len());
    std::thread::scope(|scope| {
        let Some((own, others)) = workspaces[..used].split_first_mut() else {
            return;
        };
        for work in others {
            scope.spawn(|| batch.work(work));
        }
        batch.work(own);
    });
    batch.into_pictures()
}
