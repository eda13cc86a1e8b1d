//! coding_unit() (clause 7.3.8.5).

use super::intra::{self, chroma_mode, remaining_mode};
use super::transform::Unit;
use super::{PartMode, SegmentParser, SKIPPED};
use crate::entropy::offset;
use crate::fill::fill_run;
use crate::syntax::slice::SliceType;
use bitstream::{Error, Result};

/// Prediction blocks of each PartMode as (x, y, width, height) in quarters of the coding block.
const PARTS: [&[(usize, usize, usize, usize)]; 8] = [
    &[(0, 0, 4, 4)],
    &[(0, 0, 4, 2), (0, 2, 4, 2)],
    &[(0, 0, 2, 4), (2, 0, 2, 4)],
    &[(0, 0, 2, 2), (2, 0, 2, 2), (0, 2, 2, 2), (2, 2, 2, 2)],
    &[(0, 0, 4, 1), (0, 1, 4, 3)],
    &[(0, 0, 4, 3), (0, 3, 4, 1)],
    &[(0, 0, 1, 4), (1, 0, 3, 4)],
    &[(0, 0, 3, 4), (3, 0, 1, 4)],
];

/// Number of 4x4 blocks of a coding unit.
fn blocks(log2_cb: u32) -> u32 {
    1 << (2 * (log2_cb - 2))
}

impl SegmentParser<'_, '_> {
    pub(super) fn coding_unit(
        &mut self,
        x: usize,
        y: usize,
        log2_cb: u32,
        depth: u8,
    ) -> Result<()> {
        let inter_allowed = self.info.header.slice_type != SliceType::I;
        self.cu_transquant_bypass = self.info.pps.transquant_bypass_enabled
            && self.cabac.flag(offset::CU_TRANSQUANT_BYPASS_FLAG);
        let size = 1usize << log2_cb;
        if inter_allowed && self.cu_skip_flag(x, y) {
            self.mark(x, y, size, (depth + 1) | SKIPPED);
            self.near.intra.set(x, y, size, intra::DC);
            self.out.stats.coding_units += 1;
            self.out.stats.skipped += blocks(log2_cb);
            self.skipped_prediction_unit(x, y, log2_cb);
            return Ok(());
        }
        self.mark(x, y, size, depth + 1);
        let is_intra = !inter_allowed || self.cabac.flag(offset::PRED_MODE_FLAG);
        if is_intra {
            return self.intra_coding_unit(x, y, log2_cb);
        }
        self.near.intra.set(x, y, size, intra::DC);
        let part_mode = self.inter_part_mode(log2_cb);
        self.out.stats.coding_units += 1;
        self.out.stats.partitions[part_mode as usize] += blocks(log2_cb);
        let mut merged = false;
        for (part_idx, &(px, py, w, h)) in PARTS[part_mode as usize].iter().enumerate() {
            let quarter = size / 4;
            let place = (x + px * quarter, y + py * quarter);
            let shape = (w * quarter, h * quarter);
            merged = self.prediction_unit(place, shape, (log2_cb, depth), part_mode, part_idx)?;
        }
        let merged_2nx2n = part_mode == PartMode::P2Nx2N && merged;
        if !merged_2nx2n && !self.cabac.flag(offset::RQT_ROOT_CBF) {
            return Ok(());
        }
        let sps = self.info.sps;
        let unit = Unit {
            is_intra: false,
            intra_split: false,
            inter_split: sps.max_transform_hierarchy_depth_inter == 0
                && part_mode != PartMode::P2Nx2N,
            max_depth: sps.max_transform_hierarchy_depth_inter,
            luma_modes: [intra::DC; 4],
            chroma_modes: [intra::DC; 4],
            chroma_as_luma: [false; 4],
        };
        self.transform_tree(&unit, log2_cb)
    }

    fn cu_skip_flag(&mut self, x: usize, y: usize) -> bool {
        let left = self.near.left[y >> 3 & 7] >> 7;
        let above = self.near.above[x >> 3] >> 7;
        self.cabac
            .flag(offset::CU_SKIP_FLAG + (left + above) as usize)
    }

    /// Stores CtDepth and cu_skip_flag for the units to the right and below.
    fn mark(&mut self, x: usize, y: usize, size: usize, value: u8) {
        let (column, row, count) = (x >> 3, y >> 3 & 7, size >> 3);
        fill_run(&mut self.near.above[column..column + count], value);
        fill_run(&mut self.near.left[row..row + count], value);
    }

    /// part_mode of inter coding units (clause 9.3.3.7).
    fn inter_part_mode(&mut self, log2_cb: u32) -> PartMode {
        if self.cabac.flag(offset::PART_MODE) {
            return PartMode::P2Nx2N;
        }
        let sps = self.info.sps;
        let rows = self.cabac.flag(offset::PART_MODE + 1);
        if log2_cb == sps.log2_min_cb {
            return match (rows, log2_cb) {
                (true, _) => PartMode::P2NxN,
                (false, 3) => PartMode::PNx2N,
                (false, _) if self.cabac.flag(offset::PART_MODE + 2) => PartMode::PNx2N,
                (false, _) => PartMode::PNxN,
            };
        }
        if !sps.amp_enabled || self.cabac.flag(offset::PART_MODE + 3) {
            return if rows {
                PartMode::P2NxN
            } else {
                PartMode::PNx2N
            };
        }
        match (rows, self.cabac.engine.bypass()) {
            (true, 0) => PartMode::P2NxnU,
            (true, _) => PartMode::P2NxnD,
            (false, 0) => PartMode::PnLx2N,
            (false, _) => PartMode::PnRx2N,
        }
    }

    fn intra_coding_unit(&mut self, x: usize, y: usize, log2_cb: u32) -> Result<()> {
        let sps = self.info.sps;
        self.out.stats.coding_units += 1;
        self.out.stats.intra += blocks(log2_cb);
        let split = log2_cb == sps.log2_min_cb && !self.cabac.flag(offset::PART_MODE);
        if let (Some(pcm), false) = (sps.pcm, split) {
            let fits = (pcm.log2_min_size..=pcm.log2_max_size).contains(&log2_cb);
            if fits && self.cabac.engine.terminate() {
                self.out.stats.pcm += blocks(log2_cb);
                self.near.intra.set(x, y, 1 << log2_cb, intra::DC);
                return self.pcm_sample(log2_cb);
            }
        }
        let luma_modes = self.luma_modes(x, y, log2_cb, split);
        let chroma_array_type = sps.chroma_array_type();
        let mut chroma_modes = [intra::DC; 4];
        let mut chroma_as_luma = [false; 4];
        let count = match (chroma_array_type, split) {
            (0, _) => 0,
            (3, true) => 4,
            _ => 1,
        };
        for part in 0..count {
            let coded = self.intra_chroma_pred_mode();
            chroma_modes[part] = chroma_mode(coded, luma_modes[part], chroma_array_type);
            chroma_as_luma[part] = coded == 4;
        }
        if count == 1 {
            chroma_modes = [chroma_modes[0]; 4];
            chroma_as_luma = [chroma_as_luma[0]; 4];
        }
        let unit = Unit {
            is_intra: true,
            intra_split: split,
            inter_split: false,
            max_depth: sps.max_transform_hierarchy_depth_intra + split as u32,
            luma_modes,
            chroma_modes,
            chroma_as_luma,
        };
        self.transform_tree(&unit, log2_cb)
    }

    /// prev_intra_luma_pred_flag, mpm_idx and rem_intra_luma_pred_mode of all parts.
    fn luma_modes(&mut self, x: usize, y: usize, log2_cb: u32, split: bool) -> [u8; 4] {
        let parts = if split { 4 } else { 1 };
        let mut predicted = [false; 4];
        for flag in predicted.iter_mut().take(parts) {
            *flag = self.cabac.flag(offset::PREV_INTRA_LUMA_PRED_FLAG);
        }
        let size = (1usize << log2_cb) >> split as usize;
        let mut modes = [intra::DC; 4];
        for part in 0..parts {
            let (px, py) = (x + (part & 1) * size, y + (part >> 1) * size);
            let candidates = self.near.intra.candidates(px, py);
            modes[part] = if predicted[part] {
                let engine = &mut self.cabac.engine;
                let mpm_idx = if engine.bypass() == 0 {
                    0
                } else {
                    1 + engine.bypass() as usize
                };
                candidates[mpm_idx]
            } else {
                remaining_mode(candidates, self.cabac.bypass_bits(5) as u8)
            };
            self.near.intra.set(px, py, size, modes[part]);
        }
        if !split {
            modes = [modes[0]; 4];
        }
        modes
    }

    fn intra_chroma_pred_mode(&mut self) -> u32 {
        if !self.cabac.flag(offset::INTRA_CHROMA_PRED_MODE) {
            return 4;
        }
        self.cabac.bypass_bits(2)
    }

    /// pcm_sample() is read past; a new arithmetic code word follows it.
    fn pcm_sample(&mut self, log2_cb: u32) -> Result<()> {
        let sps = self.info.sps;
        let Some(pcm) = sps.pcm else {
            return Err(Error::malformed("pcm_flag"));
        };
        let luma = 1usize << (2 * log2_cb);
        let chroma = match sps.chroma_array_type() {
            0 => 0,
            1 => luma / 2,
            2 => luma,
            _ => 2 * luma,
        };
        let bits = luma * pcm.bit_depth_luma as usize + chroma * pcm.bit_depth_chroma as usize;
        let start = self.cabac.engine.byte_after_terminate();
        self.cabac.restart(start + bits.div_ceil(8));
        Ok(())
    }
}
