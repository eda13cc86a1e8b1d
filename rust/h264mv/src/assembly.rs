//! Puts pictures together from slice headers: field pairs, frame_num gaps, POC, marking, lists.

use std::sync::Arc;

use crate::error::Error;
use crate::params::Sps;
use crate::plan::{Doubt, PictureInfo, PicturePlan, SlicePlan};
use crate::poc::PocState;
use crate::pps::Pps;
use crate::reflist;
use crate::refs::{Dpb, FrameStore};
use crate::slice::{SliceHeader, SliceType, Structure};

/// More slices than any level allows; damaged streams must not grow a picture without end.
const MAX_SLICES: usize = 1 << 14;

/// A first field that still waits for its second one.
#[derive(Debug, Clone)]
struct FirstField {
    frame: u32,
    structure: Structure,
    frame_num: u32,
    reference: bool,
    field_poc: [i32; 2],
}

/// What SEI messages say before a picture starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announced {
    /// recovery_frame_cnt of a recovery point message of its access unit.
    pub recovery_frame_cnt: Option<u32>,
    /// The x264 build that made the stream; said once, it holds from there on.
    pub x264_build: Option<u32>,
}

/// The last picture from which decoding may begin. What follows it in the order of output takes its
/// references from it on; frames before it come last in the lists.
#[derive(Debug, Clone)]
struct Recovery {
    frame: u32,
    poc: i32,
}

impl Default for Recovery {
    fn default() -> Self {
        Recovery {
            frame: 0,
            poc: i32::MAX,
        }
    }
}

impl Recovery {
    /// Whether a frame held for reference makes the lists of a slice doubtful.
    fn doubt(&self, frame: &FrameStore, header: &SliceHeader, info: &PictureInfo) -> Doubt {
        let settled = frame.id < self.frame && info.poc > self.poc;
        if settled || header.slice_type == SliceType::I {
            Doubt::None
        } else if frame.lost && header.slice_type == SliceType::B {
            if info.sps.gaps_in_frame_num_value_allowed_flag {
                Doubt::Indices
            } else {
                Doubt::Motion
            }
        } else if frame.id != info.frame && frame.field_poc.contains(&i32::MAX) {
            Doubt::Indices
        } else {
            Doubt::None
        }
    }
}

/// The state of the decoding process that headers alone determine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assembly {
    active: Option<Arc<Sps>>,
    /// The set of the stream's first picture.
    first: Option<Arc<Sps>>,
    poc: PocState,
    dpb: Dpb,
    prev_ref_frame_num: Option<u32>,
    first_field: Option<FirstField>,
    /// Since the last IDR picture everything is there.
    whole: bool,
    recovery: Recovery,
    /// The picture whose slices are being collected.
    current: Option<PicturePlan>,
    next_index: u64,
    next_frame: u32,
    period: u32,
}

impl Assembly {
    /// Continues the counts of a longer stream.
    pub fn resume(&mut self, next_index: u64, period: u32) {
        self.next_index = next_index;
        self.period = period.saturating_sub(1);
    }

    /// decode_index of the picture that starts next.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// The sequence parameter set of the first picture, once there was one.
    pub fn first_sps(&self) -> Option<&Sps> {
        self.first.as_deref()
    }

    /// Whether a slice may be of another view of the picture being collected.
    pub fn is_at_time_of(&self, header: &SliceHeader) -> bool {
        let last = self.current.as_ref().and_then(|plan| plan.slices.last());
        last.is_some_and(|last| header.shares_time(&last.header))
    }

    /// Whether a slice is the first of another picture than the one being collected.
    pub fn is_fresh(&self, header: &SliceHeader) -> bool {
        let last = self.current.as_ref().and_then(|plan| plan.slices.last());
        last.is_none_or(|last| header.starts_picture(&last.header))
    }

    /// Records an error on the picture being collected, where there is one.
    pub fn blame(&mut self, error: Error) -> Error {
        self.whole = false;
        match &mut self.current {
            Some(plan) => {
                let error = error.in_picture(plan.info.decode_index);
                plan.error.get_or_insert(error.clone());
                error
            }
            None => error.in_picture(self.next_index),
        }
    }

    /// Starts a picture: pairs fields, fills frame_num gaps, derives the POC.
    pub fn start(
        &mut self,
        h: &SliceHeader,
        sps: &Arc<Sps>,
        pps: &Pps,
        sample: u64,
        announced: Announced,
    ) {
        self.first.get_or_insert_with(|| sps.clone());
        if self.active.as_ref() != Some(sps) {
            if self.active.as_ref().is_some_and(|old| !old.codes_like(sps)) {
                self.dpb.clear();
                self.first_field = None;
            }
            self.active = Some(sps.clone());
        }
        let first = self.first_field.take();
        let pair = first.as_ref().filter(|f| {
            f.structure.parity() + h.structure.parity() == 3
                && h.structure != Structure::Frame
                && f.frame_num == h.frame_num
                && !h.idr
        });
        let unpaired = pair.is_none() && first.as_ref().is_some_and(|f| f.reference);
        let gap = pair.is_none() && self.fill_gap(h, sps);
        self.whole = h.idr || (self.whole && !gap && !unpaired);
        let poc = self.poc.derive(h, sps);
        if h.idr {
            self.period += 1;
        }
        let frame = match &pair {
            Some(first) => first.frame,
            None => self.new_frame(),
        };
        let own = h.structure.parity();
        let mut field_poc = pair.as_ref().map_or([i32::MAX; 2], |f| f.field_poc);
        for field in 0..2 {
            if own & (1 << field) != 0 {
                field_poc[field] = poc[field];
            }
        }
        let info = PictureInfo {
            decode_index: self.next_index,
            sample,
            frame,
            second_field: pair.is_some(),
            period: self.period,
            keyframe: h.idr || announced.recovery_frame_cnt.is_some(),
            recovery_frame_cnt: if h.idr {
                Some(0)
            } else {
                announced.recovery_frame_cnt
            },
            gap,
            x264_build: announced.x264_build,
            ..describe(h, sps, pps, field_poc)
        };
        if info.recovery_frame_cnt == Some(0) {
            self.recovery = Recovery {
                frame: info.frame,
                poc: info.poc,
            };
        }
        self.next_index += 1;
        self.current = Some(PicturePlan {
            info,
            slices: Vec::new(),
            live: Vec::new(),
            after_loss: !self.whole,
            error: None,
            skim: false,
        });
    }

    fn new_frame(&mut self) -> u32 {
        self.next_frame = self.next_frame.wrapping_add(1) & 0x7fff_ffff;
        self.next_frame
    }

    /// Clause 8.2.5.2: frames that frame_num skipped enter the sliding window. Whether there were any.
    /// A stream that begins inside a group of pictures gets frames for those before it likewise.
    fn fill_gap(&mut self, h: &SliceHeader, sps: &Sps) -> bool {
        let max = 1u32 << sps.log2_max_frame_num;
        if h.idr {
            return false;
        }
        let Some(prev) = self.prev_ref_frame_num else {
            self.fill_start(h, sps);
            return false;
        };
        // A new SPS may have made the range smaller.
        let prev = prev % max;
        if h.frame_num == prev || h.frame_num == (prev + 1) % max {
            return false;
        }
        let missing = (h.frame_num + max - prev - 1) % max;
        let window = (sps.max_num_ref_frames as u32).max(1);
        // Only the last few survive the window, so earlier ones need not be made.
        for back in (1..=missing.min(window)).rev() {
            let frame_num = (h.frame_num + max - back) % max;
            let id = self.new_frame();
            self.dpb.slide(id, window as usize, max, frame_num);
            let fake = SliceHeader {
                frame_num,
                structure: Structure::Frame,
                nal_ref_idc: 1,
                delta_pic_order_cnt: [0; 2],
                ..h.clone()
            };
            let field_poc = if sps.pic_order_cnt_type == 0 {
                // Nothing codes it: guess one frame after the newest short-term reference.
                let newest = self.dpb.frames.iter().rev().find(|f| f.short != 0);
                [newest.map_or(0, |f| f.poc().wrapping_add(2)); 2]
            } else {
                self.poc.derive(&fake, sps)
            };
            self.dpb.frames.push(FrameStore {
                id,
                frame_num,
                long_term_frame_idx: 0,
                short: 3,
                long: 0,
                field_poc,
                lost: true,
            });
        }
        self.prev_ref_frame_num = Some((h.frame_num + max - 1) % max);
        true
    }

    /// Frames before the first picture of the stream, as many as it may refer to. Their counts are
    /// guesses: one frame apart.
    fn fill_start(&mut self, h: &SliceHeader, sps: &Sps) {
        let max = 1u32 << sps.log2_max_frame_num;
        let [top, bottom] = self.poc.clone().derive(h, sps);
        let own = top.min(bottom);
        for back in (1..=(sps.max_num_ref_frames as u32).min(max - 1)).rev() {
            let id = self.new_frame();
            self.dpb.frames.push(FrameStore {
                id,
                frame_num: (h.frame_num + max - back) % max,
                long_term_frame_idx: 0,
                short: 3,
                long: 0,
                field_poc: [own.wrapping_sub(2 * back as i32); 2],
                lost: true,
            });
        }
    }

    /// Adds a slice that came at `place` to the picture.
    pub fn add_slice(
        &mut self,
        header: SliceHeader,
        pps: Arc<Pps>,
        rbsp: Vec<u8>,
        place: (u64, u32),
        bytes: usize,
    ) {
        let Some(plan) = &mut self.current else {
            return;
        };
        plan.info.nal_bits += bytes as u64 * 8;
        if plan.slices.len() >= MAX_SLICES {
            plan.error.get_or_insert(Error::Limit {
                what: "slices in a picture",
                value: MAX_SLICES as u64 + 1,
                limit: MAX_SLICES as u64,
            });
            return;
        }
        let max_frame_num = 1 << plan.info.sps.log2_max_frame_num;
        let mut lists = reflist::build(&self.dpb, &header, plan.info.poc, max_frame_num);
        if plan.after_loss {
            lists.iter_mut().for_each(|list| reflist::substitute(list));
        }
        let frames = self.dpb.frames.iter();
        let doubts = frames.map(|frame| self.recovery.doubt(frame, &header, &plan.info));
        let doubt = doubts.max().unwrap_or(Doubt::None);
        plan.info.slice_type = plan.info.slice_type.max(header.slice_type);
        plan.info.slices += 1;
        plan.slices.push(SlicePlan {
            header,
            pps,
            rbsp,
            place,
            bytes,
            lists,
            doubt,
        });
    }

    /// Ends the picture being collected: at the end of an access unit or of the stream.
    pub fn flush(&mut self) -> Option<PicturePlan> {
        let mut plan = self.current.take()?;
        let header = plan.slices.first()?.header.clone();
        let info = &mut plan.info;
        let max_frame_num = 1 << info.sps.log2_max_frame_num;
        let mut stored = info.field_poc;
        if header.has_mmco5() {
            let base = info.poc;
            stored = stored.map(|p| {
                if p == i32::MAX {
                    p
                } else {
                    p.wrapping_sub(base)
                }
            });
            let top = if header.structure == Structure::Bottom {
                0
            } else {
                stored[0]
            };
            self.poc.reset_after_mmco5(top);
            self.period += 1;
            info.period = self.period;
            info.order_poc = 0;
        }
        if header.nal_ref_idc != 0 {
            let refs = info.sps.max_num_ref_frames as usize;
            self.dpb
                .mark(&header, info.frame, stored, refs, max_frame_num);
        }
        let frame_num = if header.has_mmco5() {
            0
        } else {
            header.frame_num
        };
        if header.nal_ref_idc != 0 || self.prev_ref_frame_num.is_none() {
            self.prev_ref_frame_num = Some(frame_num);
        }
        if header.structure != Structure::Frame && !info.second_field {
            self.first_field = Some(FirstField {
                frame: info.frame,
                structure: header.structure,
                frame_num,
                reference: header.nal_ref_idc != 0,
                field_poc: stored,
            });
        }
        plan.live = self.dpb.frames.iter().map(|f| f.id).collect();
        plan.live.push(info.frame);
        Some(plan)
    }
}

/// What the first slice says of its picture; where it stands in the stream is left out.
fn describe(h: &SliceHeader, sps: &Arc<Sps>, pps: &Pps, field_poc: [i32; 2]) -> PictureInfo {
    let frame_picture = h.structure == Structure::Frame;
    let poc = match h.structure {
        Structure::Frame => field_poc[0].min(field_poc[1]),
        Structure::Top => field_poc[0],
        Structure::Bottom => field_poc[1],
    };
    PictureInfo {
        decode_index: 0,
        sample: 0,
        frame: 0,
        second_field: false,
        poc,
        field_poc,
        period: 0,
        order_poc: poc,
        slice_type: SliceType::I,
        structure: h.structure,
        mbaff: sps.mb_adaptive_frame_field_flag && frame_picture,
        slices: 0,
        idr: h.idr,
        keyframe: false,
        recovery_frame_cnt: None,
        frame_num: h.frame_num,
        gap: false,
        x264_build: None,
        reference: h.nal_ref_idc != 0,
        cabac: pps.entropy_coding_mode_flag,
        nal_bits: 0,
        width_mbs: sps.pic_width_in_mbs,
        height_mbs: sps.frame_height_in_mbs() >> (!frame_picture as u32),
        sps: sps.clone(),
    }
}
