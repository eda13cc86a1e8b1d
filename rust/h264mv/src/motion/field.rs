//! Motion field of a picture: vectors and reference indices on the grid of 4x4 luma blocks.

use crate::refs::ref_pic::RefPic;

/// Motion vector (x, y) in quarter luma samples.
pub type Mv = [i16; 2];

/// Value of `ref_poc` where a list is not used.
pub const NO_POC: i32 = i32::MIN;

/// Value of `mb_slice` for macroblocks that no slice contains.
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

/// Vectors and reference indices per 4x4 luma block, with the lists that the indices refer to.
#[derive(Debug, Clone, Default)]
pub struct MotionField {
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
    /// Part of the picture is damaged: direct modes that read it report an error.
    pub(crate) damaged: bool,
    /// List 1 is "not used" everywhere: a P picture need not write it.
    pub(crate) list1_clear: bool,
}

impl MotionField {
    /// Resets the arrays for a picture of `w` x `h` macroblocks that uses `lists` lists.
    pub(crate) fn prepare(&mut self, w: usize, h: usize, mbaff: bool, lists: usize) {
        let blocks = w * h * 16;
        if self.mv.len() != 2 * blocks {
            self.mv = vec![[0; 2]; 2 * blocks];
            self.ref_idx = vec![-1; 2 * blocks];
            self.list1_clear = true;
        }
        (self.w4, self.h4) = (w * 4, h * 4);
        let stale = match (lists, self.list1_clear) {
            (0, true) => 0..blocks,
            (0, false) => 0..2 * blocks,
            (1, false) => blocks..2 * blocks,
            _ => 0..0,
        };
        self.mv[stale.clone()].fill([0; 2]);
        self.ref_idx[stale].fill(-1);
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

    /// Whether a macroblock is a field macroblock of an MBAFF frame.
    #[inline]
    pub(crate) fn is_field(&self, mb_x: usize, mb_y: usize) -> bool {
        let mb = mb_y * (self.w4 / 4) + mb_x;
        self.mb_field.get(mb).copied().unwrap_or(false)
    }

    /// The picture that `ref_idx` of `list` refers to in macroblock (`mb_x`, `mb_y`).
    pub(crate) fn reference(&self, list: usize, ref_idx: i8, mb_x: usize, mb_y: usize) -> RefPic {
        let slice = self.mb_slice[mb_y * (self.w4 / 4) + mb_x] as usize;
        let field = self.is_field(mb_x, mb_y).then_some(1 + (mb_y & 1) as u8);
        match self.slice_refs.get(slice) {
            Some(lists) => RefPic::select(&lists[list], ref_idx, field),
            None => RefPic::MISSING,
        }
    }

    /// mb_field_decoding_flag of each macroblock [h4 / 4, w4 / 4]; None if none is set.
    pub fn field_macroblocks(&self) -> Option<&[bool]> {
        self.mb_field.contains(&true).then_some(&self.mb_field[..])
    }

    /// Which blocks [2, h4, w4] of a field picture of parity `parity` (1 top, 2 bottom) refer to a field
    /// of the opposite parity.
    pub fn other_parity(&self, parity: u8) -> Vec<bool> {
        self.map_references(|reference| reference.parity == 3 - parity)
            .collect()
    }

    /// `test` of the reference of each block [2, h4, w4]; false where the list is not used.
    pub(crate) fn map_references<'a>(
        &'a self,
        test: impl Fn(&RefPic) -> bool + 'a,
    ) -> impl Iterator<Item = bool> + 'a {
        let plane = self.w4 * self.h4;
        let blocks = self.ref_idx.iter().enumerate();
        blocks.map(move |(i, &ref_idx)| {
            let (mb_x, mb_y) = (i % plane % self.w4 / 4, i % plane / self.w4 / 4);
            ref_idx >= 0 && test(&self.reference(i / plane, ref_idx, mb_x, mb_y))
        })
    }

    /// Number of 4x4 blocks that use no list, list 0 only, list 1 only, and both.
    pub fn list_use(&self) -> [u32; 4] {
        let (l0, l1) = self.ref_idx.split_at(self.ref_idx.len() / 2);
        let mut counts = [0; 4];
        for (&a, &b) in l0.iter().zip(l1) {
            counts[(a >= 0) as usize + 2 * (b >= 0) as usize] += 1;
        }
        counts
    }
}
