//! Arrays of pictures that are no longer used.

use std::sync::{Arc, Mutex};

use bitstream::codec::Recycle;

use super::picture::Picture;
use crate::motion::field::Motion;
use crate::slice_data::PictureSyntax;

/// Most arrays kept.
const MAX_SPARE: usize = 64;

#[derive(Debug, Default)]
struct Spare {
    motions: Vec<Motion>,
    syntaxes: Vec<PictureSyntax>,
}

/// Spare arrays, shared by the threads of a decoder.
#[derive(Debug, Default, Clone)]
pub struct Pool(Arc<Mutex<Spare>>);

impl Pool {
    fn with<T: Default>(&self, action: impl FnOnce(&mut Spare) -> T) -> T {
        self.0
            .lock()
            .map_or_else(|_| T::default(), |mut spare| action(&mut spare))
    }

    pub(crate) fn take_motion(&self) -> Motion {
        self.with(|spare| spare.motions.pop().unwrap_or_default())
    }

    pub(crate) fn take_syntax(&self) -> PictureSyntax {
        self.with(|spare| spare.syntaxes.pop().unwrap_or_default())
    }

    pub(crate) fn put_syntax(&self, syntax: PictureSyntax) {
        self.with(|spare| {
            if spare.syntaxes.len() < MAX_SPARE {
                spare.syntaxes.push(syntax);
            }
        });
    }

    /// Takes motion back, unless something else refers to it.
    pub(crate) fn recycle_motion(&self, motion: Arc<Motion>) {
        if let Ok(motion) = Arc::try_unwrap(motion) {
            self.with(|spare| {
                if spare.motions.len() < MAX_SPARE {
                    spare.motions.push(motion);
                }
            });
        }
    }
}

impl Recycle<Picture> for Pool {
    fn recycle(&self, picture: &mut Picture) {
        self.recycle_motion(std::mem::take(&mut picture.motion));
    }
}
