//! Recovery points: which reference lists lost pictures make uncertain.

use crate::refs::dpb::{Dpb, StoredFrame};
use crate::stream::picture::PictureInfo;
use crate::syntax::slice_header::{SliceHeader, SliceType};

/// How lost pictures make the reference lists of a slice uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Uncertainty {
    None,
    /// Reference indices may refer to other pictures: a field is lost, or frames were omitted on purpose
    /// from the output order of a B picture.
    References,
    /// The co-located picture of a B slice may be another one too: a frame is lost whose place in the
    /// output order is a guess.
    Colocated,
}

/// The last picture at which decoding can start. Pictures after it in output order refer to it or to
/// later ones; older frames are at the end of their lists.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    frame: u32,
    poc: i32,
}

impl Default for Recovery {
    /// No such picture yet.
    fn default() -> Self {
        Recovery {
            frame: 0,
            poc: i32::MAX,
        }
    }
}

impl Recovery {
    /// Recovery at a picture whose recovery_frame_cnt is 0.
    pub fn at(info: &PictureInfo) -> Self {
        Recovery {
            frame: info.frame,
            poc: info.poc,
        }
    }

    /// Uncertainty of the lists of a slice, given the frames held for reference.
    pub fn uncertainty(&self, dpb: &Dpb, header: &SliceHeader, info: &PictureInfo) -> Uncertainty {
        let frames = dpb.frames.iter();
        let caused = frames.map(|frame| self.caused_by(frame, header, info));
        caused.max().unwrap_or(Uncertainty::None)
    }

    fn caused_by(
        &self,
        frame: &StoredFrame,
        header: &SliceHeader,
        info: &PictureInfo,
    ) -> Uncertainty {
        let unused = frame.id < self.frame && info.poc > self.poc;
        if unused || header.slice_type == SliceType::I {
            return Uncertainty::None;
        }
        if frame.lost && header.slice_type == SliceType::B {
            return if info.sps.gaps_in_frame_num_value_allowed_flag {
                Uncertainty::References
            } else {
                Uncertainty::Colocated
            };
        }
        let has_one_field = frame.id != info.frame && frame.field_poc.contains(&i32::MAX);
        if has_one_field {
            Uncertainty::References
        } else {
            Uncertainty::None
        }
    }
}
