//! Co-located blocks: motion of other pictures that direct modes read (clauses 8.4.1.2.1 and 8.4.1.2.3).

use std::sync::Arc;

use crate::motion::field::{MotionField, Mv};
use crate::refs::ref_pic::RefPic;
use crate::syntax::slice_header::Structure;
use bitstream::{Error, Result};

/// Motion of a frame: one coded frame, or up to two coded fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrameMotion {
    pub frame: Option<Arc<MotionField>>,
    pub fields: [Option<Arc<MotionField>>; 2],
}

impl FrameMotion {
    /// Whether a picture of the frame is damaged.
    pub fn is_damaged(&self) -> bool {
        let [top, bottom] = &self.fields;
        [&self.frame, top, bottom]
            .into_iter()
            .flatten()
            .any(|m| m.damaged)
    }

    /// Adds a picture of the frame.
    pub fn put(&mut self, structure: Structure, motion: Arc<MotionField>) {
        match structure {
            Structure::Frame => self.frame = Some(motion),
            Structure::Top => self.fields[0] = Some(motion),
            Structure::Bottom => self.fields[1] = Some(motion),
        }
    }
}

/// Inputs of a slice's direct modes other than the current picture.
pub(crate) struct DirectInputs<'a> {
    /// Motion of the frame of `RefPicList1[0]`.
    pub colocated: Option<&'a FrameMotion>,
    /// RefPicList0 and RefPicList1.
    pub lists: &'a [Vec<RefPic>; 2],
    /// PicOrderCnt of the current picture, of its top field and of its bottom field.
    pub poc: [i32; 3],
    /// 1 or 2 for a field picture, 3 for a frame.
    pub parity: u8,
    /// Pictures were lost before this one.
    pub after_loss: bool,
    /// Lost pictures make it uncertain which picture `RefPicList1[0]` is.
    pub colocated_uncertain: bool,
}

/// vertMvScale (table 8-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VertMvScale {
    OneToOne,
    FrameToField,
    FieldToFrame,
}

/// The co-located block.
pub(crate) struct Colocated {
    /// refIdxCol, -1 for intra blocks.
    pub ref_idx: i8,
    /// mvCol.
    pub mv: Mv,
    /// The picture that refIdxCol refers to.
    reference: RefPic,
    pub vert_mv_scale: VertMvScale,
}

/// Location of a row of co-located blocks: picture, macroblock row, block row.
struct Location<'a> {
    motion: &'a MotionField,
    mb_y: usize,
    row: usize,
    vert_mv_scale: VertMvScale,
}

impl<'a> DirectInputs<'a> {
    /// The field of `RefPicList1[0]` that is nearer in POC (clause 8.4.1.2.1): 0 top, 1 bottom.
    fn nearer_field(&self) -> usize {
        let Some(first) = self.lists[1].first() else {
            return 0;
        };
        let distance = |poc: i32| (poc as i64 - self.poc[0] as i64).abs();
        (distance(first.field_poc[0]) >= distance(first.field_poc[1])) as usize
    }

    /// Error of a picture that is not available.
    pub fn missing(&self, what: &'static str) -> Error {
        if self.after_loss {
            Error::lost_reference(what)
        } else {
            Error::malformed(what)
        }
    }

    /// colPic, mbAddrCol, yM / 4 and vertMvScale (table 8-6) for block row `row` (yCol / 4) of the
    /// current macroblock, which is a field macroblock of an MBAFF frame if `field`.
    fn locate(&self, mb_x: usize, mb_y: usize, field: bool, row: usize) -> Option<Location<'a>> {
        use VertMvScale::{FieldToFrame, FrameToField, OneToOne};
        let frame = self.colocated?;
        let (mb_parity, half) = (mb_y & 1, row / 2);
        let (motion, mb_y, row, vert_mv_scale) = if self.parity != 3 {
            let parity = self.lists[1].first()?.parity as usize;
            if let Some(motion) = frame.fields.get(parity.wrapping_sub(1))?.as_deref() {
                (motion, mb_y, row, OneToOne)
            } else {
                let motion = frame.frame.as_deref()?;
                if motion.is_field(mb_x, 2 * mb_y) {
                    (motion, 2 * mb_y + self.parity as usize - 1, row, OneToOne)
                } else {
                    (motion, 2 * mb_y + half, row * 2 % 4, FrameToField)
                }
            }
        } else if let Some(motion) = frame.frame.as_deref() {
            let pair = mb_y & !1;
            match (field, motion.is_field(mb_x, mb_y)) {
                (true, false) => (motion, pair + half, row * 2 % 4, FrameToField),
                (false, true) => {
                    let mb_y = pair + self.nearer_field();
                    (motion, mb_y, 2 * mb_parity + half, FieldToFrame)
                }
                _ => (motion, mb_y, row, OneToOne),
            }
        } else if field {
            let motion = frame.fields[mb_parity].as_deref()?;
            (motion, mb_y / 2, row, OneToOne)
        } else {
            let motion = frame.fields[self.nearer_field()].as_deref()?;
            (motion, mb_y / 2, 2 * mb_parity + half, FieldToFrame)
        };
        // A picture of another size has no block here.
        (mb_x * 4 < motion.w4 && mb_y * 4 < motion.h4).then_some(Location {
            motion,
            mb_y,
            row,
            vert_mv_scale,
        })
    }

    /// refIdxCol and mvCol for the block at (`x`, `row`) of macroblock (`mb_x`, `mb_y`).
    pub fn colocated(
        &self,
        (mb_x, mb_y): (usize, usize),
        field: bool,
        x: usize,
        row: usize,
    ) -> Result<Colocated> {
        let missing = || self.missing("co-located picture of direct prediction");
        if self.colocated_uncertain {
            return Err(missing());
        }
        let location = self.locate(mb_x, mb_y, field, row).ok_or_else(missing)?;
        let motion = location.motion;
        let (x4, y4) = (mb_x * 4 + x, location.mb_y * 4 + location.row);
        let (mut list, (mut ref_idx, mut mv)) = (0, motion.block(0, x4, y4));
        if ref_idx < 0 {
            list = 1;
            (ref_idx, mv) = motion.block(1, x4, y4);
        }
        let reference = if ref_idx < 0 {
            RefPic::MISSING
        } else {
            motion.reference(list, ref_idx, mb_x, location.mb_y)
        };
        Ok(Colocated {
            ref_idx,
            mv,
            reference,
            vert_mv_scale: location.vert_mv_scale,
        })
    }

    /// MapColToList0: the lowest refIdxL0 that refers to the reference of the co-located block.
    pub fn map_col_to_list0(&self, col: &Colocated, field: bool, mb_y: usize) -> Option<i8> {
        let current = if field {
            1 + (mb_y & 1) as u8
        } else {
            self.parity
        };
        let parity = match col.vert_mv_scale {
            VertMvScale::OneToOne => col.reference.parity,
            VertMvScale::FrameToField => current,
            VertMvScale::FieldToFrame => 3,
        };
        let same_frame = |e: &RefPic| e.frame == col.reference.frame;
        let mut list = self.lists[0].iter();
        if !field {
            let index = list.position(|e| same_frame(e) && e.parity == parity);
            return index.map(|i| i as i8);
        }
        let index = list.position(same_frame)?;
        Some((2 * index + (parity != current) as usize) as i8)
    }

    /// mvL0 and mvL1: mvCol scaled by distances in POC (equations 8-193 to 8-202).
    pub fn scale(&self, ref_idx: i8, mv_col: Mv, field: bool, mb_y: usize) -> Result<[Mv; 2]> {
        let parity = field.then_some(1 + (mb_y & 1) as u8);
        let pic0 = RefPic::select(&self.lists[0], ref_idx, parity);
        let pic1 = RefPic::select(&self.lists[1], 0, parity);
        if (pic0.lost || pic1.lost) && mv_col != [0; 2] {
            return Err(Error::lost_reference(
                "picture order count for temporal direct prediction",
            ));
        }
        let current = self.poc[parity.unwrap_or(0) as usize];
        let clip = |d: i64| d.clamp(-128, 127) as i32;
        let tb = clip(current as i64 - pic0.poc() as i64);
        let td = clip(pic1.poc() as i64 - pic0.poc() as i64);
        if pic0.long_term || td == 0 {
            return Ok([mv_col, [0; 2]]);
        }
        let tx = (16384 + (td / 2).abs()) / td;
        let factor = ((tb * tx + 32) >> 6).clamp(-1024, 1023);
        let l0 = mv_col.map(|v| ((factor * v as i32 + 128) >> 8) as i16);
        let l1 = [l0[0].wrapping_sub(mv_col[0]), l0[1].wrapping_sub(mv_col[1])];
        Ok([l0, l1])
    }
}
