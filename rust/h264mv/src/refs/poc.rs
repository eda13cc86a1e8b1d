//! Picture order count (clause 8.2.1).

use crate::syntax::slice_header::{SliceHeader, Structure};
use crate::syntax::sps::Sps;

/// Values of previous pictures that the next picture order count depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct PocState {
    prev_pic_order_cnt_msb: i32,
    prev_pic_order_cnt_lsb: i32,
    prev_frame_num: u32,
    prev_frame_num_offset: i32,
}

impl PocState {
    /// TopFieldOrderCnt and BottomFieldOrderCnt; of a field picture only its own one is valid.
    pub fn derive(&mut self, h: &SliceHeader, sps: &Sps) -> [i32; 2] {
        match sps.pic_order_cnt_type {
            0 => self.derive_type0(h, sps),
            1 => {
                let offset = self.frame_num_offset(h, sps);
                derive_type1(h, sps, offset)
            }
            _ => {
                let offset = self.frame_num_offset(h, sps);
                let twice = 2i32.wrapping_mul(offset.wrapping_add(h.frame_num as i32));
                [twice.wrapping_sub((h.nal_ref_idc == 0) as i32); 2]
            }
        }
    }

    /// Clause 8.2.1.1.
    fn derive_type0(&mut self, h: &SliceHeader, sps: &Sps) -> [i32; 2] {
        if h.idr {
            self.prev_pic_order_cnt_msb = 0;
            self.prev_pic_order_cnt_lsb = 0;
        }
        let lsb = h.pic_order_cnt_lsb as i32;
        let max = 1i32 << sps.log2_max_pic_order_cnt_lsb;
        let (prev_msb, prev_lsb) = (self.prev_pic_order_cnt_msb, self.prev_pic_order_cnt_lsb);
        let msb = if lsb < prev_lsb && prev_lsb - lsb >= max / 2 {
            prev_msb.wrapping_add(max)
        } else if lsb > prev_lsb && lsb - prev_lsb > max / 2 {
            prev_msb.wrapping_sub(max)
        } else {
            prev_msb
        };
        if h.nal_ref_idc != 0 {
            self.prev_pic_order_cnt_msb = msb;
            self.prev_pic_order_cnt_lsb = lsb;
        }
        let first = msb.wrapping_add(lsb);
        [first, first.wrapping_add(h.delta_pic_order_cnt_bottom)]
    }

    fn frame_num_offset(&mut self, h: &SliceHeader, sps: &Sps) -> i32 {
        let offset = if h.idr {
            0
        } else if self.prev_frame_num > h.frame_num {
            let max_frame_num = 1 << sps.log2_max_frame_num;
            self.prev_frame_num_offset.wrapping_add(max_frame_num)
        } else {
            self.prev_frame_num_offset
        };
        self.prev_frame_num_offset = offset;
        self.prev_frame_num = h.frame_num;
        offset
    }

    /// Resets the state after a picture with memory_management_control_operation 5, whose
    /// TopFieldOrderCnt has become `top` (0 for a bottom field).
    pub fn reset_after_mmco5(&mut self, top: i32) {
        *self = PocState {
            prev_pic_order_cnt_lsb: top,
            ..PocState::default()
        };
    }
}

/// Clause 8.2.1.2: expected delta per cycle of reference frames.
fn derive_type1(h: &SliceHeader, sps: &Sps, frame_num_offset: i32) -> [i32; 2] {
    let cycle = sps.offset_for_ref_frame.len() as i32;
    let mut abs_frame_num = match cycle {
        0 => 0,
        _ => frame_num_offset.wrapping_add(h.frame_num as i32),
    };
    if h.nal_ref_idc == 0 && abs_frame_num > 0 {
        abs_frame_num -= 1;
    }
    let mut expected = 0i32;
    if abs_frame_num > 0 {
        let (cycles, position) = ((abs_frame_num - 1) / cycle, (abs_frame_num - 1) % cycle);
        let sum = |s: &[i32]| s.iter().fold(0i32, |a, &b| a.wrapping_add(b));
        expected = cycles.wrapping_mul(sum(&sps.offset_for_ref_frame));
        let partial = sum(&sps.offset_for_ref_frame[..=position as usize]);
        expected = expected.wrapping_add(partial);
    }
    if h.nal_ref_idc == 0 {
        expected = expected.wrapping_add(sps.offset_for_non_ref_pic);
    }
    let d = h.delta_pic_order_cnt;
    let top = expected.wrapping_add(d[0]);
    let to_bottom = sps.offset_for_top_to_bottom_field;
    let bottom = match h.structure {
        Structure::Frame => top.wrapping_add(to_bottom).wrapping_add(d[1]),
        _ => expected.wrapping_add(to_bottom).wrapping_add(d[0]),
    };
    [top, bottom]
}
