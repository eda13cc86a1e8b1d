//! Grouping of slices into pictures: field pairs, frame_num gaps, POC, reference lists, marking.

use std::sync::Arc;

use crate::refs::dpb::Dpb;
use crate::refs::lists;
use crate::refs::state::ReferenceState;
use crate::stream::picture::PictureInfo;
use crate::stream::plan::{PicturePlan, SlicePlan, UnitPosition};
use crate::stream::recovery::Recovery;
use crate::syntax::pps::Pps;
use crate::syntax::slice_header::{SliceHeader, SliceType, Structure};
use crate::syntax::sps::Sps;
use bitstream::Error;

/// More slices than any level allows: limits the memory that a damaged stream can request.
const MAX_SLICES: usize = 1 << 14;

/// A first field whose second field may follow.
#[derive(Debug, Clone)]
struct FirstField {
    frame: u32,
    structure: Structure,
    frame_num: u32,
    reference: bool,
    field_poc: [i32; 2],
}

/// Frame and order of a picture that starts.
struct Order {
    frame: u32,
    second_field: bool,
    field_poc: [i32; 2],
    /// frame_num skips frames before the picture.
    gap: bool,
}

/// Content of SEI messages before a picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingSei {
    /// recovery_frame_cnt of a recovery point message of the access unit.
    pub recovery_frame_cnt: Option<u32>,
    /// The x264 build that encoded the stream, from its message on.
    pub x264_build: Option<u32>,
}

/// Collects slices into pictures and follows the decoding process as far as headers determine it.
#[derive(Debug, Clone, Default)]
pub(crate) struct PictureAssembler {
    active_sps: Option<Arc<Sps>>,
    /// Parameter set of the first picture of the stream.
    first_sps: Option<Arc<Sps>>,
    references: ReferenceState,
    first_field: Option<FirstField>,
    /// No picture was lost since the last IDR picture.
    complete: bool,
    recovery: Recovery,
    /// The picture whose slices are being collected.
    current: Option<PicturePlan>,
    next_index: u64,
    period: u32,
}

impl PictureAssembler {
    /// decode_index of the picture that starts next.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Sequence parameter set of the first picture; None before it.
    pub fn first_sps(&self) -> Option<&Sps> {
        self.first_sps.as_deref()
    }

    fn last_header(&self) -> Option<&SliceHeader> {
        Some(&self.current.as_ref()?.slices.last()?.header)
    }

    /// Whether a slice may belong to another view of the current picture.
    pub fn has_order_of(&self, header: &SliceHeader) -> bool {
        let last = self.last_header();
        last.is_some_and(|last| header.has_same_order(last))
    }

    /// Whether a slice is the first of another picture than the current one.
    pub fn starts_picture(&self, header: &SliceHeader) -> bool {
        let last = self.last_header();
        last.is_none_or(|last| header.starts_picture(last))
    }

    /// Records an error in the current picture, if there is one; returns it with the picture's number.
    pub fn record_error(&mut self, error: Error) -> Error {
        self.complete = false;
        match &mut self.current {
            Some(plan) => {
                let error = error.in_picture(plan.info.decode_index);
                plan.error.get_or_insert(error.clone());
                error
            }
            None => error.in_picture(self.next_index),
        }
    }

    /// Starts a picture at its first slice.
    pub fn start(
        &mut self,
        h: &SliceHeader,
        sps: &Arc<Sps>,
        pps: &Pps,
        sample: u64,
        sei: &PendingSei,
    ) {
        self.activate(sps);
        let order = self.derive_order(h, sps);
        let recovery_frame_cnt = if h.idr {
            Some(0)
        } else {
            sei.recovery_frame_cnt
        };
        let is_frame = h.structure == Structure::Frame;
        let poc = match h.structure {
            Structure::Frame => order.field_poc[0].min(order.field_poc[1]),
            Structure::Top => order.field_poc[0],
            Structure::Bottom => order.field_poc[1],
        };
        let info = PictureInfo {
            decode_index: self.next_index,
            sample,
            frame: order.frame,
            second_field: order.second_field,
            poc,
            field_poc: order.field_poc,
            period: self.period,
            order_poc: poc,
            slice_type: SliceType::I,
            structure: h.structure,
            mbaff: sps.mb_adaptive_frame_field_flag && is_frame,
            slices: 0,
            idr: h.idr,
            recovery_frame_cnt,
            frame_num: h.frame_num,
            gap: order.gap,
            x264_build: sei.x264_build,
            reference: h.nal_ref_idc != 0,
            cabac: pps.entropy_coding_mode_flag,
            nal_bits: 0,
            width_mbs: sps.pic_width_in_mbs,
            height_mbs: sps.frame_height_in_mbs() >> (!is_frame as u32),
            sps: sps.clone(),
        };
        if recovery_frame_cnt == Some(0) {
            self.recovery = Recovery::at(&info);
        }
        self.next_index += 1;
        self.current = Some(PicturePlan {
            info,
            slices: Vec::new(),
            live: Vec::new(),
            after_loss: !self.complete,
            error: None,
            skipped: false,
        });
    }

    /// Pairs fields, fills gaps in frame_num and derives the POC.
    fn derive_order(&mut self, h: &SliceHeader, sps: &Sps) -> Order {
        let first_field = self.first_field.take();
        let is_unpaired_reference = first_field.as_ref().is_some_and(|f| f.reference);
        let pair = first_field.filter(|f| {
            f.structure.parity() + h.structure.parity() == 3
                && h.structure != Structure::Frame
                && f.frame_num == h.frame_num
                && !h.idr
        });
        let gap = pair.is_none() && self.references.fill_gap(h, sps);
        let is_field_lost = pair.is_none() && is_unpaired_reference;
        self.complete = h.idr || (self.complete && !gap && !is_field_lost);
        let poc = self.references.poc.derive(h, sps);
        self.period += h.idr as u32;
        let (frame, mut field_poc) = match &pair {
            Some(first) => (first.frame, first.field_poc),
            None => (self.references.next_frame(), [i32::MAX; 2]),
        };
        for field in (0..2).filter(|field| h.structure.parity() >> field & 1 == 1) {
            field_poc[field] = poc[field];
        }
        Order {
            frame,
            second_field: pair.is_some(),
            field_poc,
            gap,
        }
    }

    /// Activates a parameter set; pictures of an incompatible one are not referred to any more.
    fn activate(&mut self, sps: &Arc<Sps>) {
        self.first_sps.get_or_insert_with(|| sps.clone());
        if self.active_sps.as_ref() == Some(sps) {
            return;
        }
        let previous = self.active_sps.replace(sps.clone());
        if previous.is_some_and(|previous| !previous.is_compatible(sps)) {
            self.references.dpb = Dpb::default();
            self.first_field = None;
        }
    }

    /// Adds a slice to the current picture.
    pub fn add_slice(
        &mut self,
        header: SliceHeader,
        pps: Arc<Pps>,
        rbsp: Vec<u8>,
        position: UnitPosition,
    ) {
        let Some(plan) = &mut self.current else {
            return;
        };
        plan.info.nal_bits += position.size as u64 * 8;
        if plan.slices.len() >= MAX_SLICES {
            plan.error.get_or_insert(Error::Limit {
                what: "slices in a picture",
                value: MAX_SLICES as u64 + 1,
                limit: MAX_SLICES as u64,
            });
            return;
        }
        let dpb = &self.references.dpb;
        let max_frame_num = 1 << plan.info.sps.log2_max_frame_num;
        let mut lists = lists::build(dpb, &header, plan.info.poc, max_frame_num);
        if plan.after_loss {
            lists
                .iter_mut()
                .for_each(|list| lists::replace_missing(list));
        }
        let uncertainty = self.recovery.uncertainty(dpb, &header, &plan.info);
        plan.info.slice_type = plan.info.slice_type.max(header.slice_type);
        plan.info.slices += 1;
        plan.slices.push(SlicePlan {
            header,
            pps,
            rbsp,
            position,
            lists,
            uncertainty,
        });
    }

    /// Ends the current picture, at the end of an access unit or of the stream.
    pub fn flush(&mut self) -> Option<PicturePlan> {
        let mut plan = self.current.take()?;
        let header = &plan.slices.first()?.header;
        let info = &mut plan.info;
        let mut field_poc = info.field_poc;
        if header.has_mmco5() {
            // Clause 8.2.1: POC becomes relative to this picture.
            for poc in field_poc.iter_mut().filter(|poc| **poc != i32::MAX) {
                *poc = poc.wrapping_sub(info.poc);
            }
            let top = match header.structure {
                Structure::Bottom => 0,
                Structure::Frame | Structure::Top => field_poc[0],
            };
            self.references.poc.reset_after_mmco5(top);
            self.period += 1;
            info.period = self.period;
            info.order_poc = 0;
        }
        self.references
            .end_picture(header, &info.sps, info.frame, field_poc);
        if header.structure != Structure::Frame && !info.second_field {
            self.first_field = Some(FirstField {
                frame: info.frame,
                structure: header.structure,
                frame_num: header.frame_num_after_marking(),
                reference: header.nal_ref_idc != 0,
                field_poc,
            });
        }
        let frames = self.references.dpb.frames.iter();
        plan.live = frames.map(|f| f.id).chain([info.frame]).collect();
        Some(plan)
    }
}
