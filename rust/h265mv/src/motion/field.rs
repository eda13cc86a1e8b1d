//! The motion of one picture, on a grid of 4x4 luma blocks.

use crate::fill::fill_block;
use crate::refs::RefPic;

/// A vector in quarter luma samples: (x, y).
pub type Mv = [i16; 2];

/// Stands in `ref_poc` where a list is not used.
pub const NO_POC: i32 = i32::MIN;

/// Reference indices and vectors of one block, both lists; -1 and zero where a list is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockMotion {
    pub ref_idx: [i8; 2],
    pub mv: [Mv; 2],
}

impl BlockMotion {
    pub const INTRA: Self = BlockMotion {
        ref_idx: [-1; 2],
        mv: [[0; 2]; 2],
    };

    #[inline]
    pub fn is_inter(&self) -> bool {
        self.ref_idx != [-1; 2]
    }
}

/// Counts of a picture; all but `coding_units` are in 4x4 luma blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Coding units of all sizes.
    pub coding_units: u32,
    /// Intra coding units, PCM included.
    pub intra: u32,
    /// Coding units with pcm_flag.
    pub pcm: u32,
    /// Coding units with cu_skip_flag.
    pub skipped: u32,
    /// Prediction units with merge_flag, skipped ones not included.
    pub merged: u32,
    /// Prediction units with motion vector differences.
    pub amvp: u32,
    /// Inter coding units that are not skipped, by PartMode: 2Nx2N, 2NxN, Nx2N, NxN, 2NxnU, 2NxnD, nLx2N, nRx2N.
    pub partitions: [u32; 8],
}

/// Motion of a picture, with what is needed to resolve its references.
#[derive(Debug, Clone, Default)]
pub struct Motion {
    w4: usize,
    h4: usize,
    /// [2, h4, w4].
    mv: Vec<Mv>,
    /// [2, h4, w4].
    ref_idx: Vec<i8>,
    /// [2, h4, w4].
    ref_poc: Vec<i32>,
    log2_ctb: u32,
    /// PicWidthInCtbsY.
    ctbs_per_row: usize,
    /// Number of the slice of each coding tree block.
    pub(crate) ctb_slice: Vec<u16>,
    /// RefPicList0 and 1 of each slice.
    pub(crate) slice_refs: Vec<[Vec<RefPic>; 2]>,
    pub(crate) stats: Stats,
    /// Not to be used by temporal prediction.
    pub(crate) damaged: bool,
}

impl Motion {
    /// Motion of a picture of `width` x `height` luma samples without inter blocks, in the memory of
    /// `self`.
    pub(crate) fn prepare(&mut self, width: u32, height: u32, log2_ctb: u32) {
        (self.w4, self.h4) = (width as usize / 4, height as usize / 4);
        (self.log2_ctb, self.ctbs_per_row) = (log2_ctb, (width as usize).div_ceil(1 << log2_ctb));
        let blocks = 2 * self.w4 * self.h4;
        self.mv.clear();
        self.mv.resize(blocks, [0; 2]);
        self.ref_idx.clear();
        self.ref_idx.resize(blocks, -1);
        self.ref_poc.clear();
        self.ref_poc.resize(blocks, NO_POC);
        self.ctb_slice.clear();
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

    /// refIdxLX [2, h4, w4], -1 where not used.
    pub fn ref_idx(&self) -> &[i8] {
        &self.ref_idx
    }

    /// Counts of coding units and prediction units.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Motion of the 4x4 block that covers luma sample (x, y).
    #[inline]
    pub(crate) fn at(&self, x: usize, y: usize) -> BlockMotion {
        let first = (y >> 2) * self.w4 + (x >> 2);
        let second = first + self.w4 * self.h4;
        BlockMotion {
            ref_idx: [self.ref_idx[first], self.ref_idx[second]],
            mv: [self.mv[first], self.mv[second]],
        }
    }

    /// Sets the motion of a block of luma samples, and PicOrderCntVal of its references.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        (x, y, w, h): (usize, usize, usize, usize),
        motion: BlockMotion,
        pocs: [i32; 2],
    ) {
        let (columns, plane) = (w >> 2, self.w4 * self.h4);
        for list in 0..2 {
            if motion.ref_idx[list] < 0 {
                continue;
            }
            let start = list * plane + (y >> 2) * self.w4 + (x >> 2);
            let shape = (self.w4, columns, h >> 2);
            fill_block(&mut self.mv[start..], shape, motion.mv[list]);
            fill_block(&mut self.ref_idx[start..], shape, motion.ref_idx[list]);
            fill_block(&mut self.ref_poc[start..], shape, pocs[list]);
        }
    }

    /// Raster address of the coding tree block that covers luma sample (x, y).
    #[inline]
    pub(crate) fn ctb_at(&self, x: usize, y: usize) -> usize {
        (y >> self.log2_ctb) * self.ctbs_per_row + (x >> self.log2_ctb)
    }

    /// The picture behind a reference index of the block at luma sample (x, y).
    #[inline]
    pub(crate) fn reference(&self, list: usize, ref_idx: i8, x: usize, y: usize) -> Option<RefPic> {
        let slice = *self.ctb_slice.get(self.ctb_at(x, y))?;
        let lists = self.slice_refs.get(slice as usize)?;
        lists[list].get(ref_idx as usize).copied()
    }

    /// PicOrderCntVal of each block's reference [2, h4, w4], [`NO_POC`] where a list is not used.
    pub fn ref_poc(&self) -> &[i32] {
        &self.ref_poc
    }

    /// Numbers of 4x4 blocks that use no list, list 0 alone, list 1 alone, and both.
    pub fn list_use(&self) -> [u32; 4] {
        let (l0, l1) = self.ref_idx.split_at(self.ref_idx.len() / 2);
        let mut counts = [0; 4];
        for (&a, &b) in l0.iter().zip(l1) {
            counts[(a >= 0) as usize + 2 * (b >= 0) as usize] += 1;
        }
        counts
    }
}
