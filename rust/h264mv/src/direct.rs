//! Direct prediction of B macroblocks (clause 8.4.1.2).

use crate::context::Context;
use crate::error::{Error, Result};
use crate::mvpred::median;
use crate::neighbour::Neighbour;
use crate::picture::{FrameMotion, Motion, Mv};
use crate::refs::RefPic;

/// What a slice's direct modes depend on besides the current picture.
pub(crate) struct DirectContext<'a> {
    /// Motion of the frame of RefPicList1[0].
    pub colocated: Option<&'a FrameMotion>,
    pub lists: &'a [Vec<RefPic>; 2],
    /// PicOrderCnt of the current picture, then of its top and bottom field.
    pub poc: [i32; 3],
    /// 1 or 2 for a field picture, 3 for a frame.
    pub parity: u8,
    /// Pictures were lost before this one.
    pub after_loss: bool,
    /// The co-located picture may be another one.
    pub doubtful: bool,
}

/// vertMvScale (table 8-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vertical {
    OneToOne,
    FrameToField,
    FieldToFrame,
}

/// The co-located block.
struct Colocated {
    ref_idx: i8,
    mv: Mv,
    reference: RefPic,
    vertical: Vertical,
}

/// Where the co-located block of a 4x4 block row lies: picture, macroblock row, block row.
struct Place<'a> {
    motion: &'a Motion,
    mb_y: usize,
    row: usize,
    vertical: Vertical,
}

impl<'a> DirectContext<'a> {
    /// The field of RefPicList1[0] that is nearer in POC (clause 8.4.1.2.1): 0 top, 1 bottom.
    fn nearer_field(&self) -> usize {
        let Some(first) = self.lists[1].first() else {
            return 0;
        };
        let distance = |poc: i32| (poc as i64 - self.poc[0] as i64).abs();
        (distance(first.field_poc[0]) >= distance(first.field_poc[1])) as usize
    }

    /// The error of a picture that is not there.
    fn missing(&self, what: &'static str) -> Error {
        if self.after_loss {
            Error::lost_reference(what)
        } else {
            Error::malformed(what)
        }
    }

    /// Table 8-6 and the derivation of mbAddrCol and yM; `row` is luma row yCol / 4.
    fn place(&self, mb_x: usize, mb_y: usize, field: bool, row: usize) -> Option<Place<'a>> {
        let col = self.colocated?;
        let half = row / 2;
        let spot = |motion: &'a Motion, mb_y, row, vertical| {
            let fits = mb_x * 4 < motion.w4 && mb_y * 4 < motion.h4;
            fits.then_some(Place {
                motion,
                mb_y,
                row,
                vertical,
            })
        };
        let pair_is_field = |m: &Motion, mb_y: usize| {
            m.mb_field
                .get(mb_y * (m.w4 / 4) + mb_x)
                .copied()
                .unwrap_or(false)
        };
        if self.parity != 3 {
            let own = self.parity as usize - 1;
            let parity = self.lists[1].first()?.parity as usize;
            if let Some(motion) = col.fields.get(parity.wrapping_sub(1))?.as_deref() {
                return spot(motion, mb_y, row, Vertical::OneToOne);
            }
            let motion = col.frame.as_deref()?;
            if pair_is_field(motion, 2 * mb_y) {
                return spot(motion, 2 * mb_y + own, row, Vertical::OneToOne);
            }
            return spot(motion, 2 * mb_y + half, row * 2 % 4, Vertical::FrameToField);
        }
        if let Some(motion) = col.frame.as_deref() {
            let pair = mb_y & !1;
            return match (field, pair_is_field(motion, mb_y)) {
                (true, false) => spot(motion, pair + half, row * 2 % 4, Vertical::FrameToField),
                (false, true) => {
                    let row = 2 * (mb_y & 1) + half;
                    spot(
                        motion,
                        pair + self.nearer_field(),
                        row,
                        Vertical::FieldToFrame,
                    )
                }
                _ => spot(motion, mb_y, row, Vertical::OneToOne),
            };
        }
        let which = if field { mb_y & 1 } else { self.nearer_field() };
        let motion = col.fields[which].as_deref()?;
        if field {
            return spot(motion, mb_y / 2, row, Vertical::OneToOne);
        }
        spot(
            motion,
            mb_y / 2,
            2 * (mb_y & 1) + half,
            Vertical::FieldToFrame,
        )
    }

    /// refIdxCol and mvCol for the block at (`x`, `row`) of a macroblock.
    fn colocated(
        &self,
        mb: (usize, usize),
        field: bool,
        x: usize,
        row: usize,
    ) -> Result<Colocated> {
        let missing = || self.missing("co-located picture of direct prediction");
        if self.doubtful {
            return Err(missing());
        }
        let place = self.place(mb.0, mb.1, field, row).ok_or_else(missing)?;
        let motion = place.motion;
        let (x4, y4) = (mb.0 * 4 + x, place.mb_y * 4 + place.row);
        let (mut list, (mut ref_idx, mut mv)) = (0, motion.block(0, x4, y4));
        if ref_idx < 0 {
            list = 1;
            (ref_idx, mv) = motion.block(1, x4, y4);
        }
        let reference = if ref_idx < 0 {
            RefPic::MISSING
        } else {
            motion.reference(list, ref_idx, mb.0, place.mb_y)
        };
        Ok(Colocated {
            ref_idx,
            mv,
            reference,
            vertical: place.vertical,
        })
    }

    /// MapColToList0: the lowest refIdxL0 that refers to the co-located block's reference.
    fn map_to_list0(&self, col: &Colocated, field: bool, mb_y: usize) -> Option<i8> {
        let own = if field {
            1 + (mb_y & 1) as u8
        } else {
            self.parity
        };
        let wanted = match col.vertical {
            Vertical::OneToOne => col.reference.parity,
            Vertical::FrameToField => own,
            Vertical::FieldToFrame => 3,
        };
        let list = &self.lists[0];
        if !field {
            let same = |e: &RefPic| e.frame == col.reference.frame && e.parity == wanted;
            return list.iter().position(same).map(|i| i as i8);
        }
        let i = list.iter().position(|e| e.frame == col.reference.frame)?;
        Some((2 * i + (wanted != own) as usize) as i8)
    }

    /// An entry of a list as the current macroblock sees it.
    fn entry(&self, list: usize, ref_idx: i8, field: bool, mb_y: usize) -> RefPic {
        let index = ref_idx as usize >> field as u32;
        let entry = self.lists[list]
            .get(index)
            .copied()
            .unwrap_or(RefPic::MISSING);
        if !field || entry.is_missing() {
            return entry;
        }
        let own = 1 + (mb_y & 1) as u8;
        entry.field(if ref_idx & 1 == 0 { own } else { 3 - own })
    }

    /// Temporal scaling of mvCol (equations 8-193 to 8-202).
    fn scale(&self, ref_idx: i8, mv_col: Mv, field: bool, mb_y: usize) -> Result<[Mv; 2]> {
        let pic0 = self.entry(0, ref_idx, field, mb_y);
        let pic1 = self.entry(1, 0, field, mb_y);
        if (pic0.lost || pic1.lost) && mv_col != [0; 2] {
            return Err(Error::lost_reference(
                "picture order count for temporal direct prediction",
            ));
        }
        let current = if field {
            self.poc[1 + (mb_y & 1)]
        } else {
            self.poc[0]
        };
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

/// MinPositive (equation 8-184).
fn min_positive(a: i32, b: i32) -> i32 {
    if a >= 0 && b >= 0 {
        a.min(b)
    } else {
        a.max(b)
    }
}

impl Context<'_> {
    /// Derives the motion of the 8x8 blocks of `mask` in direct mode.
    pub fn direct<const MBAFF: bool>(&mut self, mask: u8) -> Result<()> {
        if self.header.direct_spatial_mv_pred_flag {
            self.direct_spatial::<MBAFF>(mask)
        } else {
            self.direct_temporal(mask)
        }
    }

    fn neighbours<const MBAFF: bool>(&self, list: usize) -> [Neighbour; 3] {
        [
            self.neighbour_a::<MBAFF>(list, 0, 0),
            self.neighbour_b::<MBAFF>(list, 0, 0),
            self.neighbour_c::<MBAFF>(list, 0, 0, 4),
        ]
    }

    /// Clause 8.4.1.2.2.
    fn direct_spatial<const MBAFF: bool>(&mut self, mask: u8) -> Result<()> {
        let mut refs = [-1i8; 2];
        let mut mvs = [[0i16; 2]; 2];
        for list in 0..2 {
            let [a, b, c] = self.neighbours::<MBAFF>(list);
            let ref_idx = min_positive(a.ref_idx, min_positive(b.ref_idx, c.ref_idx)).max(-1);
            refs[list] = ref_idx as i8;
            if ref_idx >= 0 {
                mvs[list] = median(a, b, c, ref_idx);
            }
        }
        if refs == [-1, -1] {
            refs = [0, 0];
        }
        let short = self.direct.lists[1].first().is_some_and(|e| !e.long_term);
        let moving = |list: usize| refs[list] == 0 && mvs[list] != [0; 2];
        let look = short && (moving(0) || moving(1));
        if !look {
            self.put_direct(mask, refs, mvs);
            return Ok(());
        }
        let mut zeroed = mvs;
        for list in 0..2 {
            if refs[list] == 0 {
                zeroed[list] = [0; 2];
            }
        }
        self.put_direct(mask, refs, mvs);
        for b8 in (0..4).filter(|b| mask >> b & 1 == 1) {
            self.zero_still_blocks(b8, refs, zeroed)?;
        }
        Ok(())
    }

    /// Applies colZeroFlag to the blocks of an 8x8 block.
    fn zero_still_blocks(&mut self, b8: usize, refs: [i8; 2], zeroed: [Mv; 2]) -> Result<()> {
        let (bx, by) = (b8 & 1, b8 >> 1);
        let mb = (self.mb_x, self.mb_y);
        let still = |c: &Colocated| c.ref_idx == 0 && c.mv.iter().all(|v| (-1..=1).contains(v));
        if self.direct_8x8_inference_flag {
            if still(&self.direct.colocated(mb, self.field, bx * 3, by * 3)?) {
                for list in (0..2).filter(|&l| refs[l] == 0) {
                    self.fill_mv(list, [bx * 2, by * 2, 2, 2], zeroed[list]);
                }
            }
            return Ok(());
        }
        for b4 in 0..4 {
            let (x, y) = (bx * 2 + (b4 & 1), by * 2 + (b4 >> 1));
            if still(&self.direct.colocated(mb, self.field, x, y)?) {
                for list in (0..2).filter(|&l| refs[l] == 0) {
                    self.fill_mv(list, [x, y, 1, 1], zeroed[list]);
                }
            }
        }
        Ok(())
    }

    fn put_direct(&mut self, mask: u8, refs: [i8; 2], mvs: [Mv; 2]) {
        for list in 0..2 {
            if mask == 15 {
                self.fill_16x16(list, refs[list], mvs[list]);
                continue;
            }
            for b8 in (0..4).filter(|b| mask >> b & 1 == 1) {
                let area = [(b8 & 1) * 2, (b8 >> 1) * 2, 2, 2];
                self.fill_ref(list, area, refs[list]);
                self.fill_mv(list, area, mvs[list]);
            }
        }
    }

    /// Clause 8.4.1.2.3.
    fn direct_temporal(&mut self, mask: u8) -> Result<()> {
        for b8 in (0..4).filter(|b| mask >> b & 1 == 1) {
            let (bx, by) = (b8 & 1, b8 >> 1);
            if self.direct_8x8_inference_flag {
                self.temporal_block([bx * 3, by * 3], [bx * 2, by * 2, 2, 2])?;
                continue;
            }
            for b4 in 0..4 {
                let (x, y) = (bx * 2 + (b4 & 1), by * 2 + (b4 >> 1));
                self.temporal_block([x, y], [x, y, 1, 1])?;
            }
        }
        Ok(())
    }

    fn temporal_block(&mut self, [x, y]: [usize; 2], area: [usize; 4]) -> Result<()> {
        let mb = (self.mb_x, self.mb_y);
        let mut col = self.direct.colocated(mb, self.field, x, y)?;
        let mut ref_idx = 0;
        if col.ref_idx >= 0 {
            match col.vertical {
                Vertical::OneToOne => {}
                Vertical::FrameToField => col.mv[1] /= 2,
                Vertical::FieldToFrame => col.mv[1] = col.mv[1].wrapping_mul(2),
            }
            let found = self.direct.map_to_list0(&col, self.field, self.mb_y);
            let missing = || {
                self.direct
                    .missing("refIdxL0 of temporal direct prediction")
            };
            ref_idx = found.ok_or_else(missing)?;
        }
        let mvs = self.direct.scale(ref_idx, col.mv, self.field, self.mb_y)?;
        self.fill_ref(0, area, ref_idx);
        self.fill_ref(1, area, 0);
        self.fill_mv(0, area, mvs[0]);
        self.fill_mv(1, area, mvs[1]);
        Ok(())
    }
}
