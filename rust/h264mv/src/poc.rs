//! Picture order count (clause 8.2.1).

use crate::params::Sps;
use crate::slice::{SliceHeader, Structure};

/// What the picture order count of the next picture depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct PocState {
    prev_pic_order_cnt_msb: i32,
    prev_pic_order_cnt_lsb: i32,
    prev_frame_num: u32,
    prev_frame_num_offset: i32,
    after_mmco5: bool,
}

impl PocState {
    /// TopFieldOrderCnt and BottomFieldOrderCnt; only the picture's own fields mean anything.
    pub fn derive(&mut self, h: &SliceHeader, sps: &Sps) -> [i32; 2] {
        match sps.pic_order_cnt_type {
            0 => self.type0(h, sps),
            1 => {
                let offset = self.frame_num_offset(h, sps);
                type1(h, sps, offset)
            }
            _ => {
                let offset = self.frame_num_offset(h, sps);
                let twice = 2i32.wrapping_mul(offset.wrapping_add(h.frame_num as i32));
                [twice.wrapping_sub((h.nal_ref_idc == 0) as i32); 2]
            }
        }
    }

    fn type0(&mut self, h: &SliceHeader, sps: &Sps) -> [i32; 2] {
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
        let prev = if self.after_mmco5 {
            0
        } else {
            self.prev_frame_num_offset
        };
        let prev_frame_num = if self.after_mmco5 {
            0
        } else {
            self.prev_frame_num
        };
        let offset = if h.idr {
            0
        } else if prev_frame_num > h.frame_num {
            prev.wrapping_add(1 << sps.log2_max_frame_num)
        } else {
            prev
        };
        self.after_mmco5 = false;
        self.prev_frame_num_offset = offset;
        self.prev_frame_num = h.frame_num;
        offset
    }

    /// After a picture with memory_management_control_operation 5: `temp` is what its top field's
    /// count has become (0 for a bottom field).
    pub fn reset_after_mmco5(&mut self, temp_top: i32) {
        self.prev_pic_order_cnt_msb = 0;
        self.prev_pic_order_cnt_lsb = temp_top;
        self.prev_frame_num = 0;
        self.prev_frame_num_offset = 0;
        self.after_mmco5 = true;
    }
}

/// Clause 8.2.1.2: expected deltas per cycle of reference frames.
fn type1(h: &SliceHeader, sps: &Sps, frame_num_offset: i32) -> [i32; 2] {
    let cycle = sps.offset_for_ref_frame.len() as i32;
    let mut abs_frame_num = 0;
    if cycle != 0 {
        abs_frame_num = frame_num_offset.wrapping_add(h.frame_num as i32);
    }
    if h.nal_ref_idc == 0 && abs_frame_num > 0 {
        abs_frame_num -= 1;
    }
    let mut expected = 0i32;
    if abs_frame_num > 0 {
        let (full, rest) = ((abs_frame_num - 1) / cycle, (abs_frame_num - 1) % cycle);
        let sum = |s: &[i32]| s.iter().fold(0i32, |a, &b| a.wrapping_add(b));
        expected = full.wrapping_mul(sum(&sps.offset_for_ref_frame));
        let part = sum(&sps.offset_for_ref_frame[..=rest as usize]);
        expected = expected.wrapping_add(part);
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
