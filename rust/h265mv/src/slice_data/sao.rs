//! sao() (clause 7.3.8.3): read past.

use super::SegmentParser;
use crate::entropy::offset;
use bitstream::Result;

impl SegmentParser<'_, '_> {
    /// `left` and `up` tell whether the neighbouring coding tree blocks are available. Merging takes
    /// the slice segment's own slice (SliceAddrRs), as availability does.
    pub(super) fn sao(&mut self, left: bool, up: bool) -> Result<()> {
        if left && self.cabac.flag(offset::SAO_MERGE_FLAG) {
            return Ok(());
        }
        if up && self.cabac.flag(offset::SAO_MERGE_FLAG) {
            return Ok(());
        }
        let (header, sps) = (self.info.header, self.info.sps);
        let planes = if sps.chroma_array_type() != 0 { 3 } else { 1 };
        let mut kind = 0;
        for c_idx in 0..planes {
            if !(if c_idx == 0 {
                header.sao_luma
            } else {
                header.sao_chroma
            }) {
                continue;
            }
            if c_idx < 2 {
                kind = self.sao_type_idx();
            }
            if kind == 0 {
                continue;
            }
            let bit_depth = if c_idx == 0 {
                sps.bit_depth_luma
            } else {
                sps.bit_depth_chroma
            };
            let most = (1 << (bit_depth.min(10) - 5)) - 1;
            let mut nonzero = 0;
            for _ in 0..4 {
                let mut magnitude = 0;
                while magnitude < most && self.cabac.engine.bypass() != 0 {
                    magnitude += 1;
                }
                nonzero += (magnitude > 0) as u32;
            }
            const BAND: u32 = 1;
            if kind == BAND {
                self.cabac.bypass_bits(nonzero + 5); // signs and sao_band_position
            } else if c_idx < 2 {
                self.cabac.bypass_bits(2); // sao_eo_class
            }
        }
        Ok(())
    }

    fn sao_type_idx(&mut self) -> u32 {
        if !self.cabac.flag(offset::SAO_TYPE_IDX) {
            return 0;
        }
        1 + self.cabac.engine.bypass()
    }
}
