//! Follows a stream's headers: parameter sets, picture boundaries, POC, marking, reference lists.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::nal::{unescape, unit};
use crate::params::Sps;
use crate::plan::{PictureInfo, PicturePlan, SlicePlan};
use crate::poc::PocState;
use crate::pps::Pps;
use crate::reflist;
use crate::refs::{Dpb, FrameStore};
use crate::slice::{peek_pps_id, SliceHeader, SliceType, Structure};

/// More slices than any level allows; damaged streams must not grow a picture without end.
const MAX_SLICES: usize = 1 << 14;

/// A slice header fits well into this many bytes; more is not read when only headers count.
const HEADER_BYTES: usize = 4096;

/// A first field that still waits for its second one.
#[derive(Debug, Clone)]
struct FirstField {
    frame: u32,
    structure: Structure,
    frame_num: u32,
    field_poc: [i32; 2],
}

/// Turns NAL units into [`PicturePlan`]s, in decoding order.
#[derive(Debug, Clone)]
pub struct Tracker {
    headers_only: bool,
    sps: Vec<Option<Arc<Sps>>>,
    pps: Vec<Option<Arc<Pps>>>,
    active: Option<Arc<Sps>>,
    poc: PocState,
    dpb: Dpb,
    prev_ref_frame_num: Option<u32>,
    first_field: Option<FirstField>,
    /// The picture whose slices are being collected.
    current: Option<PicturePlan>,
    next_index: u64,
    next_frame: u32,
    period: u32,
    recovery_point: bool,
    /// The current sample, and how many of its units were pushed.
    sample: (u64, u32),
    /// Where slice data starts in the unit pushed last; 0 if it is no slice.
    header_bits: usize,
    scratch: Vec<u8>,
}

impl Tracker {
    /// A tracker; with `headers_only` its plans carry no slice data.
    pub fn new(headers_only: bool) -> Self {
        Tracker {
            headers_only,
            sps: vec![None; 32],
            pps: vec![None; 256],
            active: None,
            poc: PocState::default(),
            dpb: Dpb::default(),
            prev_ref_frame_num: None,
            first_field: None,
            current: None,
            next_index: 0,
            next_frame: 0,
            period: 0,
            recovery_point: false,
            sample: (u64::MAX, 0),
            header_bits: 0,
            scratch: Vec::new(),
        }
    }

    /// Whether plans come without slice data from the next picture on.
    pub fn set_headers_only(&mut self, headers_only: bool) {
        self.headers_only = headers_only;
    }

    /// Continues the counts of a longer stream, where this one starts inside it: at an IDR picture
    /// that is number `next_index` in decoding order and opens period `period`.
    pub fn resume(&mut self, next_index: u64, period: u32) {
        self.next_index = next_index;
        self.period = period.saturating_sub(1);
    }

    /// Where slice data starts in the RBSP of the unit pushed last; 0 if it is no slice.
    pub(crate) fn header_bits(&self) -> usize {
        self.header_bits
    }

    /// decode_index of the picture that the next first slice will start.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Takes a NAL unit; gives the previous picture when this unit shows that it is complete.
    ///
    /// An error concerns this unit alone: the next one can be pushed.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<Option<PicturePlan>> {
        self.push_start(nal, nal.len(), sample)
    }

    /// As [`Self::push`], of a unit of `size` bytes of which the start is given: enough where only
    /// headers count.
    pub fn push_start(
        &mut self,
        nal: &[u8],
        size: usize,
        sample: u64,
    ) -> Result<Option<PicturePlan>> {
        self.header_bits = 0;
        let position = if self.sample.0 == sample {
            self.sample.1 + 1
        } else {
            0
        };
        self.sample = (sample, position);
        let Some((&head, payload)) = nal.split_first() else {
            return Ok(None);
        };
        if head & 0x80 != 0 {
            return Err(self.blame(Error::malformed("forbidden_zero_bit")));
        }
        let (ref_idc, kind) = (head >> 5 & 3, head & 31);
        match kind {
            unit::SLICE | unit::IDR_SLICE => self.slice(payload, (kind, ref_idc), size, sample),
            unit::PARTITION_A..=unit::PARTITION_C => Err(Error::Unsupported {
                feature: "data partitioning",
            }),
            unit::SPS => {
                let done = self.flush();
                self.put_sps(payload)?;
                Ok(done)
            }
            unit::PPS => {
                let done = self.flush();
                self.put_pps(payload)?;
                Ok(done)
            }
            unit::SEI => {
                self.recovery_point |= has_recovery_point(payload);
                Ok(None)
            }
            unit::ACCESS_UNIT_DELIMITER | unit::END_OF_SEQUENCE | unit::END_OF_STREAM => {
                Ok(self.flush())
            }
            _ => Ok(None),
        }
    }

    /// Records an error on the picture being collected, where there is one.
    fn blame(&mut self, error: Error) -> Error {
        match &mut self.current {
            Some(plan) => {
                let error = error.in_picture(plan.info.decode_index);
                plan.error.get_or_insert(error.clone());
                error
            }
            None => error.in_picture(self.next_index),
        }
    }

    fn put_sps(&mut self, payload: &[u8]) -> Result<()> {
        unescape(payload, &mut self.scratch);
        let sps = Sps::parse(&self.scratch).map_err(|e| e.in_picture(self.next_index))?;
        let slot = &mut self.sps[sps.seq_parameter_set_id as usize];
        if slot.as_deref() != Some(&sps) {
            *slot = Some(Arc::new(sps));
        }
        Ok(())
    }

    fn put_pps(&mut self, payload: &[u8]) -> Result<()> {
        unescape(payload, &mut self.scratch);
        let pps = Pps::parse(&self.scratch).map_err(|e| e.in_picture(self.next_index))?;
        let id = pps.pic_parameter_set_id as usize;
        self.pps[id] = Some(Arc::new(pps));
        Ok(())
    }

    fn slice(
        &mut self,
        payload: &[u8],
        (kind, ref_idc): (u8, u8),
        size: usize,
        sample: u64,
    ) -> Result<Option<PicturePlan>> {
        let mut rbsp = std::mem::take(&mut self.scratch);
        let seen = if self.headers_only {
            payload.len().min(HEADER_BYTES)
        } else {
            payload.len()
        };
        unescape(&payload[..seen], &mut rbsp);
        let parsed = self.parse_header(&rbsp, kind, ref_idc);
        let (header, sps, pps) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                self.scratch = rbsp;
                return Err(self.blame(error));
            }
        };
        self.header_bits = header.data_bit;
        if header.redundant_pic_cnt > 0 || header.colour_plane_id != 0 {
            self.scratch = rbsp;
            return Ok(None);
        }
        let last = self.current.as_ref().and_then(|plan| plan.slices.last());
        let fresh = last.is_none_or(|last| header.starts_picture(&last.header));
        let done = if fresh { self.flush() } else { None };
        if fresh {
            self.start(&header, &sps, &pps, sample);
        }
        if self.headers_only {
            self.scratch = rbsp;
            rbsp = Vec::new();
        }
        self.add_slice(header, pps, rbsp, size);
        Ok(done)
    }

    fn parse_header(
        &self,
        rbsp: &[u8],
        kind: u8,
        ref_idc: u8,
    ) -> Result<(SliceHeader, Arc<Sps>, Arc<Pps>)> {
        let pps_id = peek_pps_id(rbsp)?;
        let pps = self.pps[pps_id as usize].clone();
        let pps = pps.ok_or(Error::malformed("pic_parameter_set_id"))?;
        let sps = self.sps[pps.seq_parameter_set_id as usize].clone();
        let sps = sps.ok_or(Error::malformed("seq_parameter_set_id"))?;
        if pps.slice_groups {
            return Err(Error::Unsupported {
                feature: "flexible macroblock ordering (slice groups)",
            });
        }
        let header = SliceHeader::parse(rbsp, kind, ref_idc, &sps, &pps)?;
        Ok((header, sps, pps))
    }

    /// Starts a picture: pairs fields, fills frame_num gaps, derives the POC.
    fn start(&mut self, h: &SliceHeader, sps: &Arc<Sps>, pps: &Pps, sample: u64) {
        if self.active.as_ref() != Some(sps) {
            if self.active.as_ref().is_some_and(|old| !old.codes_like(sps)) {
                self.dpb.clear();
                self.first_field = None;
            }
            self.active = Some(sps.clone());
        }
        let pair = self.first_field.take().filter(|f| {
            f.structure.parity() + h.structure.parity() == 3
                && h.structure != Structure::Frame
                && f.frame_num == h.frame_num
                && !h.idr
        });
        if pair.is_none() {
            self.fill_gap(h, sps);
        }
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
        let info = self.describe(h, sps, pps, sample, frame, pair.is_some(), field_poc);
        self.next_index += 1;
        self.current = Some(PicturePlan {
            info,
            slices: Vec::new(),
            live: Vec::new(),
            error: None,
            skim: false,
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn describe(
        &mut self,
        h: &SliceHeader,
        sps: &Arc<Sps>,
        pps: &Pps,
        sample: u64,
        frame: u32,
        second_field: bool,
        field_poc: [i32; 2],
    ) -> PictureInfo {
        let frame_picture = h.structure == Structure::Frame;
        let own = match h.structure {
            Structure::Frame => field_poc[0].min(field_poc[1]),
            Structure::Top => field_poc[0],
            Structure::Bottom => field_poc[1],
        };
        PictureInfo {
            decode_index: self.next_index,
            sample,
            frame,
            second_field,
            poc: own,
            field_poc,
            period: self.period,
            order_poc: own,
            slice_type: SliceType::I,
            structure: h.structure,
            mbaff: sps.mb_adaptive_frame_field_flag && frame_picture,
            slices: 0,
            idr: h.idr,
            keyframe: h.idr || std::mem::take(&mut self.recovery_point),
            reference: h.nal_ref_idc != 0,
            cabac: pps.entropy_coding_mode_flag,
            nal_bits: 0,
            width_mbs: sps.pic_width_in_mbs,
            height_mbs: sps.frame_height_in_mbs() >> (!frame_picture as u32),
            sps: sps.clone(),
        }
    }

    fn new_frame(&mut self) -> u32 {
        self.next_frame = self.next_frame.wrapping_add(1) & 0x7fff_ffff;
        self.next_frame
    }

    /// Clause 8.2.5.2: frames that frame_num skipped enter the sliding window.
    fn fill_gap(&mut self, h: &SliceHeader, sps: &Sps) {
        let max = 1u32 << sps.log2_max_frame_num;
        let Some(prev) = self.prev_ref_frame_num.filter(|_| !h.idr) else {
            return;
        };
        // A new SPS may have made the range smaller.
        let prev = prev % max;
        if h.frame_num == prev || h.frame_num == (prev + 1) % max {
            return;
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
    }

    fn add_slice(&mut self, header: SliceHeader, pps: Arc<Pps>, rbsp: Vec<u8>, bytes: usize) {
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
        let lists = reflist::build(&self.dpb, &header, plan.info.poc, max_frame_num);
        plan.info.slice_type = plan.info.slice_type.max(header.slice_type);
        plan.info.slices += 1;
        plan.slices.push(SlicePlan {
            header,
            pps,
            rbsp,
            place: self.sample,
            bytes,
            lists,
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
                field_poc: stored,
            });
        }
        plan.live = self.dpb.frames.iter().map(|f| f.id).collect();
        plan.live.push(info.frame);
        Some(plan)
    }
}

/// Whether an SEI RBSP carries a recovery point message (payloadType 6, clause D.1.8).
fn has_recovery_point(payload: &[u8]) -> bool {
    let mut at = 0;
    let read = |at: &mut usize| {
        let mut value = 0usize;
        loop {
            let byte = *payload.get(*at)?;
            *at += 1;
            value += byte as usize;
            if byte != 255 {
                return Some(value);
            }
        }
    };
    while at + 2 < payload.len() {
        let (Some(kind), Some(size)) = (read(&mut at), read(&mut at)) else {
            return false;
        };
        if kind == 6 {
            return true;
        }
        at += size;
    }
    false
}
