//! Reuse of the arrays of pictures.

use std::sync::{Arc, Mutex};

use bitstream::codec::Recycle;

use crate::motion::field::MotionField;
use crate::motion::ref_poc::RefPoc;
use crate::stream::picture::Picture;

/// Maximum number of unused arrays of each kind.
const MAX_UNUSED: usize = 64;

/// Unused arrays of pictures, shared by the threads of a decoder.
#[derive(Debug, Default, Clone)]
pub struct Pool(Arc<Mutex<Unused>>);

#[derive(Debug, Default)]
struct Unused {
    motions: Vec<MotionField>,
    ref_pocs: Vec<RefPoc>,
}

/// The most recently used item that `fits`, else any.
fn take_fitting<T: Default>(unused: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> T {
    match unused.iter().rposition(fits) {
        Some(index) => unused.remove(index),
        None => unused.pop().unwrap_or_default(),
    }
}

impl Pool {
    fn with<T: Default>(&self, action: impl FnOnce(&mut Unused) -> T) -> T {
        self.0
            .lock()
            .map_or_else(|_| T::default(), |mut s| action(&mut s))
    }

    /// A motion field for `lists` lists, if possible one whose second list need not be cleared.
    pub(crate) fn take_motion(&self, lists: usize) -> MotionField {
        self.with(|s| take_fitting(&mut s.motions, |m| m.list1_clear == (lists < 2)))
    }

    /// As [`Self::take_motion`], for the POC of references.
    pub(crate) fn take_ref_poc(&self, lists: usize) -> RefPoc {
        self.with(|s| take_fitting(&mut s.ref_pocs, |p| p.list1_clear == (lists < 2)))
    }

    /// Takes motion back unless something else refers to it.
    pub(crate) fn recycle_motion(&self, motion: Arc<MotionField>) {
        if let Ok(motion) = Arc::try_unwrap(motion) {
            self.with(|s| {
                if s.motions.len() < MAX_UNUSED {
                    s.motions.push(motion);
                }
            });
        }
    }
}

impl Recycle<Picture> for Pool {
    fn recycle(&self, picture: &mut Picture) {
        self.recycle_motion(std::mem::take(&mut picture.motion));
        let ref_poc = std::mem::take(&mut picture.ref_poc);
        self.with(|s| {
            if s.ref_pocs.len() < MAX_UNUSED {
                s.ref_pocs.push(ref_poc);
            }
        });
    }
}
