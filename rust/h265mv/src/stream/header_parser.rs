//! Follows a stream's headers: NAL units in, plans of pictures out.

use std::sync::Arc;

use bitstream::codec::{Headers, Pushed};
use bitstream::nal::unescape;
use bitstream::{index_log, BitReader, Error, Result};

use super::plan::{PictureInfo, PicturePlan, SegmentPlan};
use super::queue::Queue;
use crate::refs::{build_lists, Dpb, PocState, ReferencePictureSet};
use crate::slice_data::NO_SLICE;
use crate::syntax::nal::{unit, NalHeader};
use crate::syntax::pps::Pps;
use crate::syntax::slice::{SliceHeader, SliceStart, SliceType};
use crate::syntax::sps::Sps;

/// Bytes of a slice segment that hold its header; more is not read when only headers count.
const HEADER_BYTES: usize = 8192;

/// Turns NAL units into [`PicturePlan`]s, in decoding order.
#[derive(Debug, Clone)]
pub struct HeaderParser {
    headers_only: bool,
    sps: Vec<Option<Arc<Sps>>>,
    pps: Vec<Option<Arc<Pps>>>,
    poc: PocState,
    dpb: Dpb,
    set: ReferencePictureSet,
    current: Option<PicturePlan>,
    next_index: u64,
    period: u32,
    /// The next picture starts a coded video sequence: the stream starts, or a sequence has ended.
    at_start: bool,
    /// RASL pictures that follow refer to pictures before the current IRAP picture, which are missing.
    skips_rasl: bool,
    /// Samples of RASL pictures that were left out.
    skipped: Vec<u64>,
    /// Slice segments that follow belong to a picture that is left out.
    skipping: bool,
    /// Higher layers were seen and left out.
    has_layers: bool,
    /// The current sample, and how many of its units were pushed.
    sample: (u64, u32),
    /// End, in bits of the RBSP, of the slice segment header in the last NAL unit; 0 for other units.
    header_bits: usize,
    scratch: Vec<u8>,
}

impl Headers for HeaderParser {
    type Plan = PicturePlan;
    type Queue = Queue;

    const DEFAULT_POC_INTERVAL: i64 = 1;

    fn new(headers_only: bool) -> Self {
        HeaderParser {
            headers_only,
            sps: vec![None; 16],
            pps: vec![None; 64],
            poc: PocState::default(),
            dpb: Dpb::default(),
            set: ReferencePictureSet::default(),
            current: None,
            next_index: 0,
            period: 0,
            at_start: true,
            skips_rasl: false,
            skipped: Vec::new(),
            skipping: false,
            has_layers: false,
            sample: (u64::MAX, 0),
            header_bits: 0,
            scratch: Vec::new(),
        }
    }

    fn push(&mut self, nal: &[u8], size: usize, sample: u64) -> Pushed<PicturePlan> {
        self.header_bits = 0;
        let position = if self.sample.0 == sample {
            self.sample.1 + 1
        } else {
            0
        };
        self.sample = (sample, position);
        let mut complete = None;
        let result = self.unit(nal, size, &mut complete);
        Pushed { complete, result }
    }

    fn end_of_access_unit(&mut self) -> Option<PicturePlan> {
        let plan = self.current.take()?;
        self.dpb.insert(plan.info.decode_index, plan.info.poc);
        Some(plan)
    }

    fn bytes_to_log(&self, nal: &[u8]) -> usize {
        let Ok(header) = NalHeader::parse(nal) else {
            return NalHeader::SIZE;
        };
        match header.nal_unit_type {
            _ if header.nuh_layer_id > 0 => NalHeader::SIZE,
            _ if header.is_slice() && self.header_bits > 0 => {
                NalHeader::SIZE + index_log::bytes_of_header(self.header_bits)
            }
            _ if header.is_slice() => index_log::DAMAGED_SLICE_BYTES,
            unit::SPS | unit::PPS => nal.len(),
            _ => NalHeader::SIZE,
        }
    }

    fn loses_slices(nal: &[u8]) -> bool {
        NalHeader::parse(nal).map_or(true, |h| h.nal_unit_type <= unit::LAST_VCL)
    }
}

impl HeaderParser {
    /// RASL pictures that were left out, since pictures that they refer to are not in the stream: their
    /// samples.
    pub fn skipped_rasl(&self) -> &[u64] {
        &self.skipped
    }

    /// Whether NAL units of layers above the base layer were left out.
    pub fn has_layers(&self) -> bool {
        self.has_layers
    }

    fn unit(&mut self, nal: &[u8], size: usize, complete: &mut Option<PicturePlan>) -> Result<()> {
        let header = NalHeader::parse(nal)?;
        let payload = &nal[NalHeader::SIZE..];
        if header.nuh_layer_id > 0 {
            self.has_layers |= header.nal_unit_type <= unit::LAST_VCL;
            return Ok(());
        }
        if header.is_slice() {
            return self.slice(payload, header, size, complete);
        }
        if !(unit::VPS..=unit::END_OF_BITSTREAM).contains(&header.nal_unit_type) {
            return Ok(());
        }
        *complete = self.end_of_access_unit();
        match header.nal_unit_type {
            unit::SPS => {
                unescape(payload, &mut self.scratch);
                let sps = Sps::parse(&self.scratch)?;
                replace(&mut self.sps[sps.seq_parameter_set_id as usize], sps);
            }
            unit::PPS => {
                unescape(payload, &mut self.scratch);
                let pps = Pps::parse(&self.scratch)?;
                replace(&mut self.pps[pps.pic_parameter_set_id as usize], pps);
            }
            unit::END_OF_SEQUENCE | unit::END_OF_BITSTREAM => self.at_start = true,
            _ => {}
        }
        Ok(())
    }

    fn slice(
        &mut self,
        payload: &[u8],
        nal: NalHeader,
        size: usize,
        complete: &mut Option<PicturePlan>,
    ) -> Result<()> {
        let mut rbsp = Vec::new();
        let parsed = if self.headers_only {
            &payload[..payload.len().min(HEADER_BYTES)]
        } else {
            payload
        };
        unescape(parsed, &mut rbsp);
        let start = SliceStart::parse(&mut BitReader::new(&rbsp), nal)?;
        let belongs = |plan: &PicturePlan| plan.may_hold(nal, start.pic_parameter_set_id);
        if start.first_slice_segment_in_pic {
            *complete = self.end_of_access_unit();
            self.skipping = nal.is_rasl() && (self.skips_rasl || self.at_start);
            if self.skipping {
                self.skipped.push(self.sample.0);
            }
        } else if !self.current.as_ref().is_some_and(belongs) {
            *complete = self.end_of_access_unit();
        }
        if self.skipping && nal.is_rasl() {
            return Ok(());
        }
        let added = self.segment(rbsp, nal, &start, size, complete);
        if let (Err(error), Some(plan)) = (&added, &mut self.current) {
            plan.error.get_or_insert(error.clone());
        }
        added
    }

    /// Adds a slice segment to the current picture, or starts one.
    fn segment(
        &mut self,
        rbsp: Vec<u8>,
        nal: NalHeader,
        start: &SliceStart,
        size: usize,
        complete: &mut Option<PicturePlan>,
    ) -> Result<()> {
        // The first segment of the picture is lost.
        let stray = || Error::malformed("first_slice_segment_in_pic_flag");
        if !start.first_slice_segment_in_pic && self.current.is_none() {
            return Err(stray());
        }
        let (sps, pps) = self.activate(start.pic_parameter_set_id)?;
        let before = self.current.as_ref().and_then(|plan| plan.segments.last());
        let before = before.map(|segment| &segment.header);
        let header = SliceHeader::parse(&rbsp, nal, &sps, &pps, before)?;
        self.header_bits = 8 * header.data_offset;
        if start.first_slice_segment_in_pic {
            self.start_picture(nal, &header, start.no_output_of_prior_pics, (sps, pps));
        } else if before.is_some_and(|before| !header.may_follow(before, &pps)) {
            *complete = self.end_of_access_unit();
            return Err(stray());
        }
        let Some(plan) = &mut self.current else {
            return Ok(());
        };
        if !header.dependent {
            if plan.lists.len() >= NO_SLICE as usize {
                return Err(Error::malformed("slice_segment_address"));
            }
            plan.lists.push(build_lists(&header, &self.set)?);
            plan.info.slices += 1;
            plan.info.slice_type = plan.info.slice_type.max(header.slice_type);
        }
        let slice = plan.lists.len().wrapping_sub(1) as u16;
        plan.info.nal_bits += size as u64 * 8;
        plan.segments.push(SegmentPlan {
            header,
            slice,
            rbsp: if self.headers_only { Vec::new() } else { rbsp },
            place: self.sample,
        });
        Ok(())
    }

    /// The parameter sets of a picture parameter set id.
    fn activate(&self, pps_id: u32) -> Result<(Arc<Sps>, Arc<Pps>)> {
        let missing = || Error::malformed("slice_pic_parameter_set_id");
        let pps = self.pps[pps_id as usize].clone().ok_or_else(missing)?;
        let sps = self.sps[pps.seq_parameter_set_id as usize].clone();
        let sps = sps.ok_or(Error::malformed("pps_seq_parameter_set_id"))?;
        if sps.screen_content {
            return Err(Error::Unsupported {
                codec: "HEVC",
                feature: "screen content coding",
            });
        }
        if let Some(grid) = &pps.tiles {
            grid.bounds(&sps)?;
        }
        Ok((sps, pps))
    }

    fn start_picture(
        &mut self,
        nal: NalHeader,
        header: &SliceHeader,
        no_output_flag: bool,
        (sps, pps): (Arc<Sps>, Arc<Pps>),
    ) {
        // NoRaslOutputFlag (clause 8.1.3).
        let restarts = nal.is_irap() && (nal.is_idr() || nal.is_bla() || self.at_start);
        // NoOutputOfPriorPicsFlag (clause C.5.2.2).
        let is_first = self.next_index == 0;
        let no_output_of_prior_pics =
            restarts && !is_first && (no_output_flag || nal.nal_unit_type == unit::CRA);
        if nal.is_irap() {
            self.skips_rasl = restarts;
        }
        if restarts || self.at_start {
            self.period += (self.next_index > 0) as u32;
            // Without its IRAP picture, a sequence does not refer to the one before.
            self.dpb.clear();
        }
        self.at_start = false;
        let poc = self
            .poc
            .next(nal, header.poc_lsb, sps.log2_max_poc_lsb, restarts);
        self.set = self.dpb.apply(header, poc, sps.log2_max_poc_lsb);
        self.current = Some(PicturePlan {
            info: PictureInfo {
                decode_index: self.next_index,
                sample: self.sample.0,
                poc,
                no_output_of_prior_pics,
                period: self.period,
                slice_type: SliceType::I,
                nal_unit_type: nal.nal_unit_type,
                temporal_id: nal.temporal_id,
                irap: nal.is_irap(),
                reference: !nal.is_sub_layer_non_reference(),
                output: header.pic_output,
                slices: 0,
                incomplete_references: self.set.is_incomplete(),
                nal_bits: 0,
                sps,
            },
            pps,
            segments: Vec::new(),
            lists: Vec::new(),
            live: self.dpb.pictures(),
            error: None,
            skips_slice_data: false,
        });
        self.next_index += 1;
    }
}

/// Puts a parameter set in its slot; one that is sent again unchanged keeps its identity.
fn replace<T: PartialEq>(slot: &mut Option<Arc<T>>, set: T) {
    if slot.as_deref() != Some(&set) {
        *slot = Some(Arc::new(set));
    }
}
