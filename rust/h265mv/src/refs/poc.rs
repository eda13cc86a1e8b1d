//! Decoding process for picture order count (clause 8.3.1).

use crate::syntax::nal::NalHeader;

/// prevTid0Pic.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PocState {
    previous: i32,
}

impl PocState {
    /// PicOrderCntVal of a picture. `restarts`: an IRAP picture with NoRaslOutputFlag.
    pub fn next(&mut self, nal: NalHeader, poc_lsb: u32, log2_max_lsb: u32, restarts: bool) -> i32 {
        let max_lsb = 1i32 << log2_max_lsb;
        let lsb = poc_lsb as i32;
        let previous_lsb = self.previous & (max_lsb - 1);
        let previous_msb = self.previous.wrapping_sub(previous_lsb);
        let msb = if restarts {
            0
        } else if lsb < previous_lsb && previous_lsb - lsb >= max_lsb / 2 {
            previous_msb.wrapping_add(max_lsb)
        } else if lsb > previous_lsb && lsb - previous_lsb > max_lsb / 2 {
            previous_msb.wrapping_sub(max_lsb)
        } else {
            previous_msb
        };
        let poc = msb.wrapping_add(lsb);
        let leading = nal.is_rasl() || nal.is_radl();
        if nal.temporal_id == 0 && !leading && !nal.is_sub_layer_non_reference() {
            self.previous = poc;
        }
        poc
    }
}
