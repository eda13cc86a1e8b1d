//! The macroblock being parsed and the picture around it.

use crate::motion::colocated::DirectInputs;
use crate::motion::field::{MotionField, Mv, Stats};
use crate::motion::macroblock_info::{flag, MbHead, MbInfo};
use crate::syntax::slice_header::{SliceHeader, SliceType, Structure};
use crate::syntax::sps::Sps;

/// A neighbouring macroblock pair of an MBAFF frame.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MbPair {
    pub available: bool,
    pub field: bool,
    /// Index of its top macroblock.
    pub top: usize,
}

/// State of macroblocks while a picture is parsed; the buffers are reused for the next picture.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub info: Vec<MbInfo>,
    /// CAVLC: number of coefficients per 4x4 block of Y, Cb and Cr.
    pub counts: Vec<[u8; 48]>,
}

impl Scratch {
    /// Prepares a picture of `width` x `height` macroblocks. The last entry is an unavailable
    /// macroblock. Without MBAFF two rows of macroblocks are enough and stay in the L1 cache.
    pub fn prepare(&mut self, width: usize, height: usize, mbaff: bool) {
        let mbs = width * if mbaff { height } else { 2 };
        self.info.resize(mbs + 1, MbInfo::BLANK);
        self.info[mbs] = MbInfo::UNAVAILABLE;
        self.counts.resize(mbs + 1, [0; 48]);
        self.counts[mbs] = [0; 48];
    }
}

/// State of slice data parsing: slice, picture and current macroblock.
///
/// In MBAFF frames `info` and `counts` are indexed by raster position: the bottom macroblock of a pair
/// is one row below the top one. Otherwise they hold two rows of macroblocks.
pub(crate) struct MbContext<'a> {
    pub header: &'a SliceHeader,
    pub slice_type: SliceType,
    pub transform_8x8_mode_flag: bool,
    pub direct_8x8_inference_flag: bool,
    pub chroma_array_type: u8,
    /// Encoded by an x264 that used other contexts for coded_block_flag of 8x8 blocks.
    pub early_x264: bool,
    pub bit_depth: [u8; 2],
    pub field_picture: bool,
    pub slice_number: u16,
    /// Number of lists that each macroblock of this picture writes.
    pub lists: usize,
    pub width: usize,
    pub height: usize,
    /// Raster or pair index of the first macroblock of the slice.
    pub first: usize,
    /// Raster or pair index where the next slice begins or the picture ends: no macroblock is parsed
    /// twice, which limits the work per picture.
    pub end: usize,
    /// Width of the grid of 4x4 blocks.
    pub w4: usize,
    /// Blocks per list.
    pub plane: usize,
    pub mv: &'a mut [Mv],
    pub ref_idx: &'a mut [i8],
    pub mb_slice: &'a mut [u16],
    pub mb_field: &'a mut [bool],
    pub stats: &'a mut Stats,
    pub info: &'a mut [MbInfo],
    pub counts: &'a mut [[u8; 48]],
    pub direct: DirectInputs<'a>,

    pub mb_x: usize,
    pub mb_y: usize,
    /// Raster position in the picture.
    pub mb: usize,
    /// Position in `info` and `counts`.
    pub slot: usize,
    /// Index of the macroblock's first block in the 4x4 grid.
    pub grid: usize,
    /// mbAddrA and mbAddrB as indices into `info`.
    pub a: usize,
    pub b: usize,
    /// mbAddrC and mbAddrD for non-MBAFF pictures.
    pub has_c: bool,
    pub has_d: bool,
    /// The current macroblock is a field macroblock of an MBAFF frame.
    pub field: bool,
    /// Pairs A, B, C, D.
    pub pairs: [MbPair; 4],
    pub cur: MbHead,
    /// Clamped |mvd| of the current macroblock.
    pub mvd: [[[u8; 2]; 16]; 2],
}

/// Slice-dependent values of an [`MbContext`].
pub(crate) struct SliceInputs<'a> {
    pub header: &'a SliceHeader,
    pub sps: &'a Sps,
    pub transform_8x8_mode_flag: bool,
    pub early_x264: bool,
    pub slice_number: u16,
    pub lists: usize,
    /// Width and height of the picture in macroblocks.
    pub size: (usize, usize),
    pub end: usize,
}

impl<'a> MbContext<'a> {
    pub fn new(
        slice: SliceInputs<'a>,
        motion: &'a mut MotionField,
        scratch: &'a mut Scratch,
        direct: DirectInputs<'a>,
    ) -> Self {
        let (width, height) = slice.size;
        let sps = slice.sps;
        MbContext {
            header: slice.header,
            slice_type: slice.header.slice_type,
            transform_8x8_mode_flag: slice.transform_8x8_mode_flag,
            direct_8x8_inference_flag: sps.direct_8x8_inference_flag,
            chroma_array_type: sps.chroma_array_type(),
            early_x264: slice.early_x264,
            bit_depth: [sps.bit_depth_luma, sps.bit_depth_chroma],
            field_picture: slice.header.structure != Structure::Frame,
            slice_number: slice.slice_number,
            lists: slice.lists,
            width,
            height,
            first: slice.header.first_mb_in_slice as usize,
            end: slice.end,
            w4: width * 4,
            plane: width * height * 16,
            mv: &mut motion.mv,
            ref_idx: &mut motion.ref_idx,
            mb_slice: &mut motion.mb_slice,
            mb_field: &mut motion.mb_field,
            stats: &mut motion.stats,
            info: &mut scratch.info,
            counts: &mut scratch.counts,
            direct,
            mb_x: 0,
            mb_y: 0,
            mb: 0,
            slot: 0,
            grid: 0,
            a: 0,
            b: 0,
            has_c: false,
            has_d: false,
            field: false,
            pairs: [MbPair::default(); 4],
            cur: MbHead::BLANK,
            mvd: [[[0; 2]; 16]; 2],
        }
    }

    /// Index of the entry for unavailable macroblocks.
    #[inline(always)]
    pub fn none(&self) -> usize {
        self.info.len() - 1
    }

    /// Moves to raster macroblock `mb` of a picture without MBAFF.
    #[inline(always)]
    pub fn enter(&mut self, mb_x: usize, mb_y: usize) {
        let w = self.width;
        let mb = mb_y * w + mb_x;
        (self.mb_x, self.mb_y, self.mb) = (mb_x, mb_y, mb);
        self.grid = mb_y * 4 * self.w4 + mb_x * 4;
        let none = self.none();
        let row = (mb_y & 1) * w;
        self.slot = row + mb_x;
        self.a = if mb_x > 0 && mb > self.first {
            self.slot - 1
        } else {
            none
        };
        self.b = if mb >= self.first + w {
            w - row + mb_x
        } else {
            none
        };
        self.has_c = mb_x + 1 < w && mb + 1 >= self.first + w;
        self.has_d = mb_x > 0 && mb > self.first + w;
    }

    /// Moves to the top macroblock of pair (`mb_x`, `pair_y`) of an MBAFF frame.
    pub fn enter_pair(&mut self, mb_x: usize, pair_y: usize) {
        let w = self.width;
        let pair = pair_y * w + mb_x;
        let pair_at_distance = |exists: bool, distance: usize| {
            if !exists || pair < self.first + distance {
                return MbPair::default();
            }
            let other = pair - distance;
            let top = other / w * 2 * w + other % w;
            MbPair {
                available: true,
                field: self.info[top].has(flag::FIELD),
                top,
            }
        };
        self.pairs = [
            pair_at_distance(mb_x > 0, 1),
            pair_at_distance(pair_y > 0, w),
            pair_at_distance(pair_y > 0 && mb_x + 1 < w, w - 1),
            pair_at_distance(pair_y > 0 && mb_x > 0, w + 1),
        ];
    }

    /// Moves to a macroblock of the current pair, as a field or frame macroblock.
    pub fn enter_in_pair(&mut self, mb_x: usize, mb_y: usize, field: bool) {
        (self.mb_x, self.mb_y, self.mb) = (mb_x, mb_y, mb_y * self.width + mb_x);
        self.slot = self.mb;
        self.grid = mb_y * 4 * self.w4 + mb_x * 4;
        self.field = field;
        self.a = self.left::<true>(0, 16).0;
        self.b = self.above_mbaff(1).map_or(self.none(), |(mb, _)| mb);
    }

    /// Whether residual blocks use the contexts and scans of fields.
    #[inline(always)]
    pub fn field_coded(&self) -> bool {
        self.field_picture || self.field
    }

    /// num_ref_idx_active of `list` for this macroblock.
    #[inline(always)]
    pub fn num_refs(&self, list: usize) -> u32 {
        (self.header.num_ref_idx_active[list] as u32) << self.field as u32
    }

    /// Sets the vectors of `w` x `h` blocks at (`x`, `y`).
    #[inline(always)]
    pub fn fill_mv(&mut self, list: usize, [x, y, w, h]: [usize; 4], mv: Mv) {
        let mut i = list * self.plane + self.grid + y * self.w4 + x;
        for _ in 0..h {
            self.mv[i..i + w].fill(mv);
            i += self.w4;
        }
    }

    /// Sets the reference indices of `w` x `h` blocks at (`x`, `y`).
    #[inline(always)]
    pub fn fill_ref(&mut self, list: usize, [x, y, w, h]: [usize; 4], ref_idx: i8) {
        let mut i = list * self.plane + self.grid + y * self.w4 + x;
        for _ in 0..h {
            self.ref_idx[i..i + w].fill(ref_idx);
            i += self.w4;
        }
    }

    /// Sets the motion of all blocks of the macroblock.
    #[inline(always)]
    pub fn fill_16x16(&mut self, list: usize, ref_idx: i8, mv: Mv) {
        let mut i = list * self.plane + self.grid;
        for _ in 0..4 {
            self.mv[i..i + 4].copy_from_slice(&[mv; 4]);
            self.ref_idx[i..i + 4].copy_from_slice(&[ref_idx; 4]);
            i += self.w4;
        }
    }

    /// Marks all blocks of the macroblock as not predicted.
    #[inline(always)]
    pub fn clear_motion(&mut self) {
        for list in 0..self.lists {
            self.fill_16x16(list, -1, [0; 2]);
        }
    }
}
