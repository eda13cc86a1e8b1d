//! transform_tree() and transform_unit() (clauses 7.3.8.8 and 7.3.8.10).

use super::intra::{scan_idx, HORIZONTAL, VERTICAL};
use super::SegmentParser;
use crate::entropy::offset;
use crate::entropy::residual::Block;
use bitstream::Result;

/// What the transform tree needs of its coding unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub is_intra: bool,
    /// IntraSplitFlag.
    pub intra_split: bool,
    /// interSplitFlag at depth 0.
    pub inter_split: bool,
    /// MaxTrafoDepth.
    pub max_depth: u32,
    /// IntraPredModeY of the four parts, or four times that of the only one.
    pub luma_modes: [u8; 4],
    /// IntraPredModeC, likewise.
    pub chroma_modes: [u8; 4],
    /// intra_chroma_pred_mode is 4, likewise.
    pub chroma_as_luma: [bool; 4],
}

/// A node of the transform tree.
#[derive(Debug, Clone, Copy)]
struct Node {
    log2_size: u32,
    depth: u32,
    blk_idx: usize,
    /// Part of the coding unit (blkIdx at depth 1).
    part: usize,
    /// cbf_cb and cbf_cr of the parent, of both chroma blocks in 4:2:2.
    parent_cbf: [[bool; 2]; 2],
}

impl SegmentParser<'_, '_> {
    /// The transform tree of a coding unit.
    pub(super) fn transform_tree(&mut self, unit: &Unit, log2_cb: u32) -> Result<()> {
        self.transform_node(
            unit,
            Node {
                log2_size: log2_cb,
                depth: 0,
                blk_idx: 0,
                part: 0,
                parent_cbf: [[true, false]; 2],
            },
        )
    }

    fn transform_node(&mut self, unit: &Unit, node: Node) -> Result<()> {
        let sps = self.info.sps;
        let Node {
            log2_size, depth, ..
        } = node;
        let intra_split = unit.intra_split && depth == 0;
        let split = if log2_size <= sps.log2_max_tb
            && log2_size > sps.log2_min_tb
            && depth < unit.max_depth
            && !intra_split
        {
            self.cabac
                .flag(offset::SPLIT_TRANSFORM_FLAG + 5 - log2_size as usize)
        } else {
            log2_size > sps.log2_max_tb || intra_split || (unit.inter_split && depth == 0)
        };
        let cbf = self.chroma_cbf(node, split);
        if split {
            for blk_idx in 0..4 {
                let child = Node {
                    log2_size: log2_size - 1,
                    depth: depth + 1,
                    blk_idx,
                    part: if depth == 0 { blk_idx } else { node.part },
                    parent_cbf: cbf,
                };
                self.transform_node(unit, child)?;
            }
            return Ok(());
        }
        let any_chroma = cbf.iter().flatten().any(|&c| c);
        let luma = if unit.is_intra || depth != 0 || any_chroma {
            self.cabac.flag(offset::CBF_LUMA + (depth == 0) as usize)
        } else {
            true
        };
        self.transform_unit(unit, node, luma, cbf)
    }

    /// cbf_cb and cbf_cr.
    fn chroma_cbf(&mut self, node: Node, split: bool) -> [[bool; 2]; 2] {
        let chroma_array_type = self.info.sps.chroma_array_type();
        if chroma_array_type == 0 {
            return [[false; 2]; 2];
        }
        if node.log2_size == 2 && chroma_array_type != 3 {
            // Coded with the parent's luma block; at depth 0 there is no such block.
            return node.parent_cbf;
        }
        let two = chroma_array_type == 2 && (!split || node.log2_size == 3);
        let ctx = offset::CBF_CHROMA + node.depth.min(4) as usize;
        node.parent_cbf.map(|parent| {
            if !(parent[0] || parent[1]) {
                return [false; 2];
            }
            let first = self.cabac.flag(ctx);
            [first, two && self.cabac.flag(ctx)]
        })
    }

    fn transform_unit(
        &mut self,
        unit: &Unit,
        node: Node,
        luma: bool,
        cbf: [[bool; 2]; 2],
    ) -> Result<()> {
        let any_chroma = cbf.iter().flatten().any(|&c| c);
        if !luma && !any_chroma {
            return Ok(());
        }
        self.delta_qp()?;
        if any_chroma && !self.cu_transquant_bypass {
            self.chroma_qp_offset();
        }
        if luma {
            let mode = unit.luma_modes[node.part];
            let block = self.block(unit, node.log2_size, 0, mode);
            self.cabac.residual_coding(block, &self.tools)?;
        }
        let chroma_array_type = self.info.sps.chroma_array_type();
        if node.log2_size > 2 || chroma_array_type == 3 {
            let log2_size = node.log2_size - (chroma_array_type != 3) as u32;
            let predicts = self.info.pps.range.cross_component_prediction_enabled
                && luma
                && (!unit.is_intra || unit.chroma_as_luma[node.part]);
            for (plane, flags) in cbf.into_iter().enumerate() {
                if predicts {
                    self.cross_comp_pred(plane);
                }
                self.chroma_blocks(unit, node.part, log2_size, plane, flags)?;
            }
        } else if node.blk_idx == 3 {
            for (plane, flags) in cbf.into_iter().enumerate() {
                self.chroma_blocks(unit, 0, 2, plane, flags)?;
            }
        }
        Ok(())
    }

    fn chroma_blocks(
        &mut self,
        unit: &Unit,
        part: usize,
        log2_size: u32,
        plane: usize,
        cbf: [bool; 2],
    ) -> Result<()> {
        for coded in cbf {
            if coded {
                let block = self.block(unit, log2_size, 1 + plane, unit.chroma_modes[part]);
                self.cabac.residual_coding(block, &self.tools)?;
            }
        }
        Ok(())
    }

    /// How the block of component `c_idx` is coded, with the intra mode `mode`.
    fn block(&self, unit: &Unit, log2_size: u32, c_idx: usize, mode: u8) -> Block {
        let (sps, pps) = (self.info.sps, self.info.pps);
        let by_mode =
            log2_size == 2 || (log2_size == 3 && (c_idx == 0 || sps.chroma_array_type() == 3));
        Block {
            log2_size,
            c_idx,
            scan_idx: if unit.is_intra && by_mode {
                scan_idx(mode)
            } else {
                0
            },
            may_skip_transform: pps.transform_skip_enabled
                && !self.cu_transquant_bypass
                && log2_size <= pps.range.log2_max_transform_skip_size,
            may_signal_rdpcm: !unit.is_intra && sps.range.explicit_rdpcm_enabled,
            implicit_rdpcm: unit.is_intra
                && sps.range.implicit_rdpcm_enabled
                && matches!(mode, HORIZONTAL | VERTICAL),
            transquant_bypass: self.cu_transquant_bypass,
        }
    }

    /// delta_qp().
    fn delta_qp(&mut self) -> Result<()> {
        if !self.info.pps.cu_qp_delta_enabled || self.is_cu_qp_delta_coded {
            return Ok(());
        }
        self.is_cu_qp_delta_coded = true;
        const MAX_PREFIX: u32 = 5;
        let mut prefix = 0;
        while prefix < MAX_PREFIX
            && self
                .cabac
                .flag(offset::CU_QP_DELTA_ABS + (prefix > 0) as usize)
        {
            prefix += 1;
        }
        if prefix == MAX_PREFIX {
            self.cabac.exp_golomb(0);
        }
        if prefix > 0 {
            self.cabac.engine.bypass(); // cu_qp_delta_sign_flag
        }
        Ok(())
    }

    /// chroma_qp_offset().
    fn chroma_qp_offset(&mut self) {
        if !self.info.header.cu_chroma_qp_offset_enabled || self.is_cu_chroma_qp_offset_coded {
            return;
        }
        self.is_cu_chroma_qp_offset_coded = true;
        if !self.cabac.flag(offset::CU_CHROMA_QP_OFFSET_FLAG) {
            return;
        }
        let most = self.info.pps.range.chroma_qp_offset_list_len_minus1;
        let mut index = 0;
        while index < most && self.cabac.flag(offset::CU_CHROMA_QP_OFFSET_IDX) {
            index += 1;
        }
    }

    /// cross_comp_pred().
    fn cross_comp_pred(&mut self, plane: usize) {
        let base = offset::LOG2_RES_SCALE_ABS_PLUS1 + 4 * plane;
        let mut value = 0;
        while value < 4 && self.cabac.flag(base + value) {
            value += 1;
        }
        if value > 0 {
            self.cabac.flag(offset::RES_SCALE_SIGN_FLAG + plane);
        }
    }
}
