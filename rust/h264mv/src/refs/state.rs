//! Reference pictures and POC along a stream; gaps in frame_num are filled with lost frames.

use crate::refs::dpb::Dpb;
use crate::refs::poc::PocState;
use crate::syntax::slice_header::{SliceHeader, Structure};
use crate::syntax::sps::Sps;

/// Reference pictures and POC state between two pictures.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReferenceState {
    pub dpb: Dpb,
    pub poc: PocState,
    /// PrevRefFrameNum; None before the first picture of the stream.
    prev_ref_frame_num: Option<u32>,
    last_frame: u32,
}

impl ReferenceState {
    /// Identity of a frame that starts.
    pub fn next_frame(&mut self) -> u32 {
        self.last_frame = self.last_frame.wrapping_add(1) & 0x7fff_ffff;
        self.last_frame
    }

    /// Fills a gap in frame_num with lost frames (clause 8.2.5.2) and tells whether there was one.
    /// A stream that begins inside a group of pictures gets frames before its first picture likewise.
    pub fn fill_gap(&mut self, h: &SliceHeader, sps: &Sps) -> bool {
        let max = 1u32 << sps.log2_max_frame_num;
        if h.idr {
            return false;
        }
        let Some(prev) = self.prev_ref_frame_num else {
            self.fill_start(h, sps);
            return false;
        };
        // A new SPS may have a smaller range.
        let prev = prev % max;
        if h.frame_num == prev || h.frame_num == (prev + 1) % max {
            return false;
        }
        let missing = (h.frame_num + max - prev - 1) % max;
        let window = (sps.max_num_ref_frames as u32).max(1);
        // Only the last frames remain in the sliding window: earlier ones are not created.
        for distance in (1..=missing.min(window)).rev() {
            let frame_num = (h.frame_num + max - distance) % max;
            let id = self.next_frame();
            self.dpb.slide(id, window as usize, max, frame_num);
            let field_poc = self.lost_frame_poc(h, sps, frame_num);
            self.dpb.push_lost(id, frame_num, field_poc);
        }
        self.prev_ref_frame_num = Some((h.frame_num + max - 1) % max);
        true
    }

    /// POC of a lost frame before the picture of `h`.
    fn lost_frame_poc(&mut self, h: &SliceHeader, sps: &Sps, frame_num: u32) -> [i32; 2] {
        if sps.pic_order_cnt_type == 0 {
            // Not coded: guess one frame after the newest short-term reference.
            let newest = self.dpb.frames.iter().rev().find(|f| f.short != 0);
            return [newest.map_or(0, |f| f.poc().wrapping_add(2)); 2];
        }
        let inferred = SliceHeader {
            frame_num,
            structure: Structure::Frame,
            nal_ref_idc: 1,
            delta_pic_order_cnt: [0; 2],
            ..h.clone()
        };
        self.poc.derive(&inferred, sps)
    }

    /// Enters as many lost frames as the first picture may refer to. Their POC is a guess: each is one
    /// frame before the next.
    fn fill_start(&mut self, h: &SliceHeader, sps: &Sps) {
        let max = 1u32 << sps.log2_max_frame_num;
        let [top, bottom] = self.poc.clone().derive(h, sps);
        let poc = top.min(bottom);
        for distance in (1..=(sps.max_num_ref_frames as u32).min(max - 1)).rev() {
            let id = self.next_frame();
            let frame_num = (h.frame_num + max - distance) % max;
            let lost_poc = poc.wrapping_sub(2 * distance as i32);
            self.dpb.push_lost(id, frame_num, [lost_poc; 2]);
        }
    }

    /// Marks reference pictures after the slices of a picture of `frame`, and stores it if it is one.
    pub fn end_picture(&mut self, h: &SliceHeader, sps: &Sps, frame: u32, field_poc: [i32; 2]) {
        let is_reference = h.nal_ref_idc != 0;
        if is_reference {
            let max_refs = sps.max_num_ref_frames as usize;
            let max_frame_num = 1 << sps.log2_max_frame_num;
            self.dpb.mark(h, frame, field_poc, max_refs, max_frame_num);
        }
        if is_reference || self.prev_ref_frame_num.is_none() {
            self.prev_ref_frame_num = Some(h.frame_num_after_marking());
        }
    }
}
