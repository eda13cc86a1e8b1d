//! Slice segment data (clause 7.3.8): coding tree units down to prediction units.
//!
//! Syntax does not depend on motion: pictures are parsed into [`PredictionUnit`]s first, and their
//! motion is derived afterwards.

mod coding_unit;
mod intra;
mod prediction_unit;
mod sao;
mod transform;

use crate::entropy::residual::Tools;
use crate::entropy::{offset, Cabac, Contexts};
use crate::motion::field::{Mv, Stats};
use crate::syntax::pps::Pps;
use crate::syntax::slice::SliceHeader;
use crate::syntax::sps::Sps;
use crate::syntax::tiles::CtbOrder;
use bitstream::{Error, Result};

use self::intra::IntraModes;

/// PartMode (table 7-10), in the standard's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PartMode {
    P2Nx2N,
    P2NxN,
    PNx2N,
    PNxN,
    P2NxnU,
    P2NxnD,
    PnLx2N,
    PnRx2N,
}

/// Stands in `merge_idx` of prediction units with coded motion vector differences.
pub(crate) const NO_MERGE: u8 = u8::MAX;

/// A prediction unit as coded. Positions and sizes are in luma samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PredictionUnit {
    pub x: u16,
    pub y: u16,
    pub w: u8,
    pub h: u8,
    pub log2_cb: u8,
    pub part_mode: PartMode,
    pub part_idx: u8,
    /// merge_idx, or [`NO_MERGE`].
    pub merge_idx: u8,
    /// mvp_l0_flag and mvp_l1_flag.
    pub mvp_flag: [bool; 2],
    /// -1 where the list is not used.
    pub ref_idx: [i8; 2],
    pub mvd: [Mv; 2],
}

/// Stands in `ctb_slice` where no slice covers the coding tree block.
pub(crate) const NO_SLICE: u16 = u16::MAX;

/// A picture's prediction units in decoding order, with the slices they belong to.
#[derive(Debug, Default)]
pub(crate) struct PictureSyntax {
    pub units: Vec<PredictionUnit>,
    /// Number of the slice (not of the segment) of each coding tree block, by raster address.
    pub ctb_slice: Vec<u16>,
    pub stats: Stats,
}

impl PictureSyntax {
    /// An empty picture of `ctbs` coding tree blocks, in reused memory.
    pub fn prepare(&mut self, ctbs: usize) {
        self.units.clear();
        self.ctb_slice.clear();
        self.ctb_slice.resize(ctbs, NO_SLICE);
        self.stats = Stats::default();
    }
}

/// Values of coding units to the left of and above the current one, and contexts that later segments
/// start from. Lives for a picture.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// Per 8 luma samples of the picture's width: CtDepth + 1 in the low bits, cu_skip_flag in bit 7,
    /// 0 where not available.
    above: Vec<u8>,
    /// The same to the left, inside the coding tree block.
    left: [u8; 8],
    intra: IntraModes,
    /// Contexts after the second coding tree unit of a row (entropy_coding_sync_enabled_flag).
    wavefront: Option<Contexts>,
    /// Contexts at the end of the previous slice segment.
    segment_end: Option<Contexts>,
}

const SKIPPED: u8 = 0x80;

impl Neighbours {
    pub fn prepare(&mut self, width: u32) {
        self.above.clear();
        // Coding tree blocks reach up to 7 entries beyond the picture.
        self.above.resize(width as usize / 8 + 8, 0);
        (self.wavefront, self.segment_end) = (None, None);
    }
}

/// Parameter sets and header that a slice segment is coded with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentInfo<'a> {
    pub sps: &'a Sps,
    pub pps: &'a Pps,
    pub order: &'a CtbOrder,
    pub header: &'a SliceHeader,
    /// Number of the slice in the picture.
    pub slice: u16,
}

/// Parses one slice segment.
struct SegmentParser<'a, 'p> {
    info: SegmentInfo<'a>,
    tools: Tools,
    cabac: Cabac<'a>,
    near: &'p mut Neighbours,
    out: &'p mut PictureSyntax,
    /// Raster address of the current coding tree unit.
    ctb: usize,
    is_cu_qp_delta_coded: bool,
    is_cu_chroma_qp_offset_coded: bool,
    cu_transquant_bypass: bool,
}

/// Parses slice_segment_data() from `rbsp`.
pub(crate) fn parse_segment(
    info: SegmentInfo,
    rbsp: &[u8],
    near: &mut Neighbours,
    out: &mut PictureSyntax,
) -> Result<()> {
    let sps = info.sps;
    let range = sps.range;
    let extended = |bit_depth: u32| {
        range
            .extended_precision_processing
            .then(|| 15.max(bit_depth + 6))
    };
    let tools = Tools {
        sign_data_hiding: info.pps.sign_data_hiding_enabled,
        transform_skip_context: range.transform_skip_context_enabled,
        persistent_rice_adaptation: range.persistent_rice_adaptation_enabled,
        cabac_bypass_alignment: range.cabac_bypass_alignment_enabled,
        extended_range: [extended(sps.bit_depth_luma), extended(sps.bit_depth_chroma)],
    };
    let contexts = Contexts::initial(info.header);
    let ctb = info.header.address as usize;
    let mut parser = SegmentParser {
        info,
        tools,
        cabac: Cabac::new(rbsp, info.header.data_offset, contexts),
        near,
        out,
        ctb,
        is_cu_qp_delta_coded: false,
        is_cu_chroma_qp_offset_coded: false,
        cu_transquant_bypass: false,
    };
    let result = parser.run();
    let address = parser.ctb as u32;
    result.map_err(|e| e.in_block("coding tree unit", address))
}

impl SegmentParser<'_, '_> {
    /// slice_segment_data().
    fn run(&mut self) -> Result<()> {
        let order = self.info.order;
        let ctbs = self.out.ctb_slice.len();
        let mut ts = order.rs_to_ts(self.ctb);
        if let (true, Some(saved)) = (self.info.header.dependent, self.near.segment_end) {
            self.cabac.contexts = saved;
        }
        self.start_substream(true);
        loop {
            if self.out.ctb_slice[self.ctb] != NO_SLICE {
                return Err(Error::malformed("slice_segment_address"));
            }
            self.out.ctb_slice[self.ctb] = self.info.slice;
            self.coding_tree_unit()?;
            let end = self.cabac.engine.terminate();
            if self.cabac.engine.overrun() {
                return Err(Error::malformed("coding_tree_unit"));
            }
            self.save_wavefront();
            ts += 1;
            if end {
                if !self.cabac.is_at_end() {
                    return Err(Error::malformed("rbsp_slice_segment_trailing_bits"));
                }
                break;
            }
            if ts >= ctbs {
                return Err(Error::malformed("end_of_slice_segment_flag"));
            }
            let before = self.ctb;
            self.ctb = order.ts_to_rs(ts);
            if self.starts_substream(before) {
                if !self.cabac.engine.terminate() {
                    return Err(Error::malformed("end_of_subset_one_bit"));
                }
                let next = self.cabac.engine.byte_after_terminate();
                self.cabac.restart(next);
                self.start_substream(false);
            }
        }
        self.near.segment_end = Some(self.cabac.contexts);
        Ok(())
    }

    /// Whether the current coding tree unit, which follows `before`, starts a tile or a row of CTBs
    /// that is coded on its own.
    fn starts_substream(&self, before: usize) -> bool {
        let order = self.info.order;
        order.tile(self.ctb) != order.tile(before)
            || (self.info.pps.entropy_coding_sync_enabled && order.starts_row(self.ctb))
    }

    /// Contexts at the start of slice segment data, of a tile and of a row (clause 9.3.1).
    fn start_substream(&mut self, of_segment: bool) {
        let order = self.info.order;
        let sync = self.info.pps.entropy_coding_sync_enabled && order.starts_row(self.ctb);
        let ts = order.rs_to_ts(self.ctb);
        let starts_tile = ts == 0 || order.tile(self.ctb) != order.tile(order.ts_to_rs(ts - 1));
        if starts_tile {
            self.cabac.contexts = Contexts::initial(self.info.header);
        } else if sync {
            // The coding tree block above and to the right, or the one above in tiles of one column.
            let width = order.width;
            let above_right = self.ctb + 1 - width.min(self.ctb + 1);
            let available = self.ctb >= width
                && !(self.ctb + 1).is_multiple_of(width)
                && self.is_available(above_right);
            self.cabac.contexts = match (available, self.near.wavefront) {
                (true, Some(saved)) => saved,
                _ => Contexts::initial(self.info.header),
            };
        } else if !of_segment {
            self.cabac.contexts = Contexts::initial(self.info.header);
        }
    }

    /// After the second coding tree block of a row (clause 9.3.2.2): contexts for the row below.
    fn save_wavefront(&mut self) {
        let order = self.info.order;
        if !self.info.pps.entropy_coding_sync_enabled {
            return;
        }
        let second = !order.starts_row(self.ctb) && order.starts_row(self.ctb - 1);
        if second {
            self.near.wavefront = Some(self.cabac.contexts);
        }
    }

    /// Whether a coding tree block is in the current slice and tile, and already parsed
    /// (clause 6.4.1).
    fn is_available(&self, rs: usize) -> bool {
        let order = self.info.order;
        self.out.ctb_slice[rs] == self.info.slice && order.tile(rs) == order.tile(self.ctb)
    }

    /// coding_tree_unit().
    fn coding_tree_unit(&mut self) -> Result<()> {
        let (order, sps) = (self.info.order, self.info.sps);
        let (column, row) = (self.ctb % order.width, self.ctb / order.width);
        let left = column > 0 && self.is_available(self.ctb - 1);
        let up = row > 0 && self.is_available(self.ctb - order.width);
        let header = self.info.header;
        if header.sao_luma || header.sao_chroma {
            self.sao(left, up)?;
        }
        let (x, y) = (column << sps.log2_ctb, row << sps.log2_ctb);
        if !left {
            self.near.left = [0; 8];
        }
        if !up {
            self.near.above[x / 8..(x + (1 << sps.log2_ctb)) / 8].fill(0);
        }
        self.near.intra.start_ctb(left);
        self.coding_quadtree(x, y, sps.log2_ctb, 0)
    }

    /// coding_quadtree().
    fn coding_quadtree(&mut self, x: usize, y: usize, log2_cb: u32, depth: u8) -> Result<()> {
        let (sps, pps) = (self.info.sps, self.info.pps);
        let size = 1usize << log2_cb;
        let (width, height) = (sps.width as usize, sps.height as usize);
        let fits = x + size <= width && y + size <= height;
        let split = if fits && log2_cb > sps.log2_min_cb {
            let deeper = |near: u8| ((near & !SKIPPED) > depth + 1) as usize;
            let ctx = deeper(self.near.left[y >> 3 & 7]) + deeper(self.near.above[x >> 3]);
            self.cabac.flag(offset::SPLIT_CU_FLAG + ctx)
        } else {
            log2_cb > sps.log2_min_cb
        };
        if pps.cu_qp_delta_enabled && log2_cb >= sps.log2_ctb - pps.diff_cu_qp_delta_depth.min(3) {
            self.is_cu_qp_delta_coded = false;
        }
        let group = sps
            .log2_ctb
            .saturating_sub(pps.range.diff_cu_chroma_qp_offset_depth);
        if self.info.header.cu_chroma_qp_offset_enabled && log2_cb >= group {
            self.is_cu_chroma_qp_offset_coded = false;
        }
        if !split {
            return self.coding_unit(x, y, log2_cb, depth);
        }
        let half = size / 2;
        for (dx, dy) in [(0, 0), (half, 0), (0, half), (half, half)] {
            if x + dx < width && y + dy < height {
                self.coding_quadtree(x + dx, y + dy, log2_cb - 1, depth + 1)?;
            }
        }
        Ok(())
    }
}
