//! Decoded picture buffer: frames and fields marked as used for reference (clause 8.2.5).

use crate::refs::ref_pic::RefPic;
use crate::syntax::ref_pic::{Marking, Mmco};
use crate::syntax::slice_header::{SliceHeader, Structure};

/// A frame, complementary field pair or single field held for reference.
#[derive(Debug, Clone)]
pub(crate) struct StoredFrame {
    pub id: u32,
    pub frame_num: u32,
    pub long_term_frame_idx: u32,
    /// Fields marked "used for short-term reference" (bit 0 top, bit 1 bottom).
    pub short: u8,
    /// Fields marked "used for long-term reference".
    pub long: u8,
    /// Inferred from a gap in frame_num (clause 8.2.5.2).
    pub lost: bool,
    pub field_poc: [i32; 2],
}

impl StoredFrame {
    /// A frame without fields.
    fn new(id: u32, frame_num: u32) -> Self {
        StoredFrame {
            id,
            frame_num,
            long_term_frame_idx: 0,
            short: 0,
            long: 0,
            lost: false,
            field_poc: [i32::MAX; 2],
        }
    }

    pub fn poc(&self) -> i32 {
        self.field_poc[0].min(self.field_poc[1])
    }

    pub fn entry(&self, parity: u8, long_term: bool) -> RefPic {
        RefPic {
            frame: self.id,
            parity,
            long_term,
            lost: self.lost,
            field_poc: self.field_poc,
        }
    }
}

/// The frames marked as used for reference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dpb {
    pub frames: Vec<StoredFrame>,
}

impl Dpb {
    /// Adds a frame that the stream does not contain.
    pub fn push_lost(&mut self, id: u32, frame_num: u32, field_poc: [i32; 2]) {
        self.frames.push(StoredFrame {
            short: 3,
            lost: true,
            field_poc,
            ..StoredFrame::new(id, frame_num)
        });
    }

    /// Sliding window marking (clause 8.2.5.3) before frame `id` is stored.
    pub fn slide(
        &mut self,
        id: u32,
        max_num_ref_frames: usize,
        max_frame_num: u32,
        frame_num: u32,
    ) {
        let others = self.frames.iter().filter(|f| f.id != id).count();
        if others < max_num_ref_frames.max(1) {
            return;
        }
        let wrap = |f: &StoredFrame| frame_num_wrap(f.frame_num, frame_num, max_frame_num);
        let oldest = (0..self.frames.len())
            .filter(|&i| self.frames[i].short != 0 && self.frames[i].id != id)
            .min_by_key(|&i| wrap(&self.frames[i]));
        if let Some(index) = oldest {
            self.frames[index].short = 0;
            self.frames.retain(|f| f.short | f.long != 0);
        }
    }

    /// Marks and stores the current picture `id` after its slices (clause 8.2.5.1).
    pub fn mark(
        &mut self,
        h: &SliceHeader,
        id: u32,
        poc: [i32; 2],
        max_refs: usize,
        max_frame_num: u32,
    ) {
        let mut long_idx = None;
        match &h.marking {
            Marking::Idr {
                long_term_reference_flag,
            } => {
                self.frames.retain(|f| f.id == id);
                long_idx = long_term_reference_flag.then_some(0);
            }
            Marking::SlidingWindow => {
                let is_second_field = self.frames.iter().any(|f| f.id == id && f.short != 0);
                if !is_second_field {
                    self.slide(id, max_refs, max_frame_num, h.frame_num);
                }
            }
            Marking::Adaptive(ops) => {
                for &op in ops {
                    if let Mmco::CurrentToLong {
                        long_term_frame_idx,
                    } = op
                    {
                        self.release_long_idx(long_term_frame_idx, id);
                        long_idx = Some(long_term_frame_idx);
                    } else {
                        self.execute(op, h, id, max_frame_num);
                    }
                }
            }
        }
        self.store(h, id, poc, long_idx);
        self.limit(id, max_refs);
    }

    /// Removes the oldest frames other than `id` beyond `max_refs`: damaged marking must not let the buffer
    /// grow.
    fn limit(&mut self, id: u32, max_refs: usize) {
        while self.frames.len() > max_refs.max(1) {
            let others = (0..self.frames.len()).filter(|&i| self.frames[i].id != id);
            let key = |i: &usize| (self.frames[*i].short == 0, self.frames[*i].id);
            match others.min_by_key(key) {
                Some(index) => self.frames.remove(index),
                None => break,
            };
        }
    }

    /// Stores the current picture as long-term reference `long_idx`, or as short-term reference.
    fn store(&mut self, h: &SliceHeader, id: u32, poc: [i32; 2], long_idx: Option<u32>) {
        let parity = h.structure.parity();
        let position = self.frames.iter().position(|f| f.id == id);
        let index = position.unwrap_or(self.frames.len());
        if position.is_none() {
            let frame = StoredFrame::new(id, h.frame_num_after_marking());
            self.frames.push(frame);
        }
        let frame = &mut self.frames[index];
        for field in (0..2).filter(|field| parity >> field & 1 == 1) {
            frame.field_poc[field] = poc[field];
        }
        match long_idx {
            Some(idx) => {
                frame.long |= parity;
                frame.long_term_frame_idx = idx;
            }
            None => frame.short |= parity,
        }
    }

    /// Executes a memory_management_control_operation (clause 8.2.5.4).
    fn execute(&mut self, op: Mmco, h: &SliceHeader, id: u32, max_frame_num: u32) {
        match op {
            Mmco::UnmarkShort {
                difference_of_pic_nums_minus1,
            } => {
                let picture = self.find_short(h, difference_of_pic_nums_minus1, max_frame_num);
                if let Some((index, parity)) = picture {
                    self.frames[index].short &= !parity;
                }
            }
            Mmco::UnmarkLong { long_term_pic_num } => {
                if let Some((index, parity)) = self.find_long(h.structure, long_term_pic_num) {
                    self.frames[index].long &= !parity;
                }
            }
            Mmco::ShortToLong {
                difference_of_pic_nums_minus1,
                long_term_frame_idx,
            } => {
                let picture = self.find_short(h, difference_of_pic_nums_minus1, max_frame_num);
                if let Some((index, parity)) = picture {
                    let keep = self.frames[index].id;
                    self.release_long_idx(long_term_frame_idx, keep);
                    let frame = &mut self.frames[index];
                    frame.short &= !parity;
                    frame.long |= parity;
                    frame.long_term_frame_idx = long_term_frame_idx;
                }
            }
            Mmco::MaxLongIdx {
                max_long_term_frame_idx_plus1: max,
            } => {
                for frame in &mut self.frames {
                    if frame.long != 0 && frame.long_term_frame_idx >= max {
                        frame.long = 0;
                    }
                }
            }
            Mmco::UnmarkAll => {
                self.frames.retain(|f| f.id == id);
                for frame in &mut self.frames {
                    frame.short = 0;
                    frame.long = 0;
                }
            }
            Mmco::CurrentToLong { .. } => {}
        }
        self.frames.retain(|f| f.short | f.long != 0 || f.id == id);
    }

    /// Unmarks the frame with LongTermFrameIdx `idx`, unless it is frame `keep`.
    fn release_long_idx(&mut self, idx: u32, keep: u32) {
        for frame in &mut self.frames {
            if frame.long != 0 && frame.long_term_frame_idx == idx && frame.id != keep {
                frame.long = 0;
            }
        }
    }

    /// The short-term picture that is `difference` + 1 before the current picture number.
    fn find_short(
        &self,
        h: &SliceHeader,
        difference: u32,
        max_frame_num: u32,
    ) -> Option<(usize, u8)> {
        let (curr, field) = curr_pic_num(h);
        let pic_num = curr as i64 - difference as i64 - 1;
        self.by_pic_num(pic_num, field, h, max_frame_num)
    }

    /// Position and parity of the short-term picture with PicNum `pic_num`.
    pub fn by_pic_num(
        &self,
        pic_num: i64,
        field: bool,
        h: &SliceHeader,
        max_frame_num: u32,
    ) -> Option<(usize, u8)> {
        let (num, parity) = split_pic_num(pic_num, field, h.structure);
        let index = self.frames.iter().position(|f| {
            f.short & parity == parity
                && frame_num_wrap(f.frame_num, h.frame_num, max_frame_num) == num
        })?;
        Some((index, parity))
    }

    /// Position and parity of the long-term picture with LongTermPicNum `pic_num`.
    pub fn find_long(&self, structure: Structure, pic_num: u32) -> Option<(usize, u8)> {
        let field = structure != Structure::Frame;
        let (num, parity) = split_pic_num(pic_num as i64, field, structure);
        let index = self
            .frames
            .iter()
            .position(|f| f.long & parity == parity && f.long_term_frame_idx as i64 == num)?;
        Some((index, parity))
    }
}

/// FrameNumWrap (equation 8-27).
pub(crate) fn frame_num_wrap(frame_num: u32, current: u32, max_frame_num: u32) -> i64 {
    if frame_num > current {
        frame_num as i64 - max_frame_num as i64
    } else {
        frame_num as i64
    }
}

/// CurrPicNum, and whether picture numbers count fields.
pub(crate) fn curr_pic_num(h: &SliceHeader) -> (u32, bool) {
    match h.structure {
        Structure::Frame => (h.frame_num, false),
        Structure::Top | Structure::Bottom => (2 * h.frame_num + 1, true),
    }
}

/// Frame number and parity of a picture number (equations 8-28 to 8-33).
fn split_pic_num(pic_num: i64, field: bool, structure: Structure) -> (i64, u8) {
    if !field {
        return (pic_num, 3);
    }
    let same = structure.parity();
    let parity = if pic_num & 1 == 1 { same } else { 3 - same };
    (pic_num >> 1, parity)
}
