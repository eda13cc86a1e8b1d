//! The motion of one picture.

use std::sync::Arc;

use crate::error::Error;
use crate::plan::PictureInfo;
use crate::ref_poc::RefPoc;
use crate::refs::RefPic;
use crate::slice::Structure;

/// A vector in quarter luma samples: (x, y).
pub type Mv = [i16; 2];

/// Stands in `ref_poc` where a list is not used.
pub const NO_POC: i32 = i32::MIN;

/// Stands in `mb_slice` where no slice gave the macroblock.
pub(crate) const NO_SLICE: u16 = u16::MAX;

/// Counts of macroblocks and partitions of a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stats {
    pub intra: u32,
    pub pcm: u32,
    pub skipped: u32,
    /// B_Direct_16x16, not skipped.
    pub direct: u32,
    pub inter_16x16: u32,
    pub inter_16x8: u32,
    pub inter_8x16: u32,
    pub inter_8x8: u32,
    /// Sub-macroblocks: direct, 8x8, 8x4, 4x8, 4x4.
    pub sub: [u32; 5],
}

/// Motion on the grid of 4x4 luma blocks, with what is needed to resolve its references.
#[derive(Debug, Clone, Default)]
pub struct Motion {
    pub(crate) w4: usize,
    pub(crate) h4: usize,
    /// [2, h4, w4]: zero where the list is not used.
    pub(crate) mv: Vec<Mv>,
    /// [2, h4, w4]: -1 where the list is not used.
    pub(crate) ref_idx: Vec<i8>,
    /// Number of the slice of each macroblock.
    pub(crate) mb_slice: Vec<u16>,
    /// mb_field_decoding_flag of each macroblock; empty unless the picture is MBAFF.
    pub(crate) mb_field: Vec<bool>,
    /// RefPicList0 and 1 of each slice.
    pub(crate) slice_refs: Vec<[Vec<RefPic>; 2]>,
    pub(crate) stats: Stats,
    /// Not to be trusted by direct modes that look at it.
    pub(crate) damaged: bool,
    /// List 1 holds nothing but "not used": a P picture need not write it.
    pub(crate) list1_clear: bool,
}

impl Motion {
    /// Makes the arrays ready for a picture of `w` x `h` macroblocks, whatever they held before.
    pub(crate) fn prepare(&mut self, w: usize, h: usize, mbaff: bool, lists: usize) {
        let blocks = w * h * 16;
        if self.mv.len() != 2 * blocks {
            self.mv = vec![[0; 2]; 2 * blocks];
            self.ref_idx = vec![-1; 2 * blocks];
            self.list1_clear = true;
        }
        (self.w4, self.h4) = (w * 4, h * 4);
        let from = match (lists, self.list1_clear) {
            (0, true) => 0..blocks,
            (0, false) => 0..2 * blocks,
            (1, false) => blocks..2 * blocks,
            _ => 0..0,
        };
        self.mv[from.clone()].fill([0; 2]);
        self.ref_idx[from].fill(-1);
        self.list1_clear = lists < 2;
        self.mb_slice.clear();
        self.mb_slice.resize(w * h, NO_SLICE);
        self.mb_field.clear();
        self.mb_field.resize(if mbaff { w * h } else { 0 }, false);
        self.slice_refs.clear();
        self.stats = Stats::default();
        self.damaged = false;
    }

    /// Width of the grid.
    pub fn w4(&self) -> usize {
        self.w4
    }

    /// Height of the grid.
    pub fn h4(&self) -> usize {
        self.h4
    }

    /// Vectors [2, h4, w4] in quarter luma samples, from the block to its reference.
    pub fn mv(&self) -> &[Mv] {
        &self.mv
    }

    /// refIdxLX [2, h4, w4] as coded, -1 where not used.
    pub fn ref_idx(&self) -> &[i8] {
        &self.ref_idx
    }

    /// Counts of macroblocks and partitions.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// refIdxLX and vector of a block.
    #[inline]
    pub(crate) fn block(&self, list: usize, x4: usize, y4: usize) -> (i8, Mv) {
        let i = (list * self.h4 + y4) * self.w4 + x4;
        (self.ref_idx[i], self.mv[i])
    }

    /// The picture behind `ref_idx` of `list` in macroblock (`mb_x`, `mb_y`).
    pub(crate) fn reference(&self, list: usize, ref_idx: i8, mb_x: usize, mb_y: usize) -> RefPic {
        let mb = mb_y * (self.w4 / 4) + mb_x;
        let field = self.mb_field.get(mb).copied().unwrap_or(false);
        let slice = self.mb_slice[mb] as usize;
        let Some(lists) = self.slice_refs.get(slice) else {
            return RefPic::MISSING;
        };
        let index = ref_idx as usize >> field as u32;
        match lists[list].get(index) {
            Some(&entry) if field && !entry.is_missing() => {
                let own = 1 + (mb_y & 1) as u8;
                entry.field(if ref_idx & 1 == 0 { own } else { 3 - own })
            }
            Some(&entry) => entry,
            None => RefPic::MISSING,
        }
    }

    /// mb_field_decoding_flag of each macroblock [h4 / 4, w4 / 4], where any is set: only in MBAFF
    /// frames.
    pub fn field_macroblocks(&self) -> Option<&[bool]> {
        self.mb_field.contains(&true).then_some(&self.mb_field[..])
    }

    /// Of a field picture of parity `own` (1 top, 2 bottom): which blocks [2, h4, w4] refer to a field of
    /// the other parity.
    pub fn other_parity(&self, own: u8) -> Vec<bool> {
        let plane = self.w4 * self.h4;
        let other = |(i, &ref_idx): (usize, &i8)| {
            let (x4, y4) = (i % plane % self.w4, i % plane / self.w4);
            ref_idx >= 0
                && self.reference(i / plane, ref_idx, x4 / 4, y4 / 4).parity == 3 - own
        };
        self.ref_idx.iter().enumerate().map(other).collect()
    }

    /// How many 4x4 blocks use no list, list 0 alone, list 1 alone, and both.
    pub fn list_use(&self) -> [u32; 4] {
        let (l0, l1) = self.ref_idx.split_at(self.ref_idx.len() / 2);
        let mut counts = [0; 4];
        for (&a, &b) in l0.iter().zip(l1) {
            counts[(a >= 0) as usize + 2 * (b >= 0) as usize] += 1;
        }
        counts
    }
}

/// A parsed picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What the headers say.
    pub info: PictureInfo,
    /// Its motion.
    pub motion: Arc<Motion>,
    /// The POC of each block's reference.
    pub ref_poc: RefPoc,
    /// Why the motion is not to be trusted as a whole; macroblocks that could not be parsed are
    /// left without motion.
    pub damage: Option<Error>,
    /// A block refers to a frame that the stream lost (a gap in frame_num, or before its first
    /// picture), or such frames make the order of the reference lists doubtful: the POC of references
    /// is a guess. Vectors and reference indices are those that were coded; only where a single field
    /// is lost, direct modes may have looked at another picture.
    pub lost_reference: bool,
}

/// The motion of a frame as direct modes look at it: one coded frame, or up to two coded fields.
#[derive(Debug, Clone, Default)]
pub struct FrameMotion {
    pub(crate) frame: Option<Arc<Motion>>,
    pub(crate) fields: [Option<Arc<Motion>>; 2],
}

impl FrameMotion {
    /// Whether a picture of the frame is damaged.
    pub(crate) fn damaged(&self) -> bool {
        let [top, bottom] = &self.fields;
        [&self.frame, top, bottom]
            .into_iter()
            .flatten()
            .any(|m| m.damaged)
    }

    /// Adds a picture of the frame.
    pub fn put(&mut self, structure: Structure, motion: Arc<Motion>) {
        match structure {
            Structure::Frame => self.frame = Some(motion),
            Structure::Top => self.fields[0] = Some(motion),
            Structure::Bottom => self.fields[1] = Some(motion),
        }
    }
}
