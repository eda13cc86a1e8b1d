//! Headers of a stream: NAL units in, picture plans out.

use std::sync::Arc;

use bitstream::codec::{Headers, Pushed};
use bitstream::nal::unescape;
use bitstream::{index_log, Error, Result};

use crate::stream::assembler::{PendingSei, PictureAssembler};
use crate::stream::plan::{PicturePlan, UnitPosition};
use crate::stream::queue::Queue;
use crate::syntax::nal_unit::nal_unit_type as unit;
use crate::syntax::pps::Pps;
use crate::syntax::sei::Sei;
use crate::syntax::slice_header::{peek_pps_id, SliceHeader};
use crate::syntax::sps::Sps;

/// More bytes than any slice header has.
const MAX_HEADER_BYTES: usize = 4096;

/// Parses the headers of NAL units into [`PicturePlan`]s, in decoding order.
#[derive(Debug, Clone)]
pub struct HeaderParser {
    headers_only: bool,
    /// By seq_parameter_set_id.
    sps: Vec<Option<Arc<Sps>>>,
    /// A subset sequence parameter set of a profile with several views was received.
    has_views: bool,
    /// By pic_parameter_set_id.
    pps: Vec<Option<Arc<Pps>>>,
    assembler: PictureAssembler,
    /// SEI messages that apply to the next picture.
    pending_sei: PendingSei,
    /// Position of the last NAL unit.
    position: UnitPosition,
    /// End, in bits of the RBSP, of the slice header or the SEI messages in the last NAL unit; 0 for
    /// other units.
    header_bits: usize,
    scratch: Vec<u8>,
}

impl Headers for HeaderParser {
    type Plan = PicturePlan;
    type Queue = Queue;

    const DEFAULT_POC_INTERVAL: i64 = 2;

    fn new(headers_only: bool) -> Self {
        HeaderParser {
            headers_only,
            sps: vec![None; 32],
            has_views: false,
            pps: vec![None; 256],
            assembler: PictureAssembler::default(),
            pending_sei: PendingSei::default(),
            position: UnitPosition {
                sample: u64::MAX,
                index: 0,
                size: 0,
            },
            header_bits: 0,
            scratch: Vec::new(),
        }
    }

    fn push(&mut self, nal: &[u8], size: usize, sample: u64) -> Pushed<PicturePlan> {
        match self.unit(nal, size, sample) {
            Ok(complete) => Pushed {
                complete,
                result: Ok(()),
            },
            Err(error) => Pushed {
                complete: None,
                result: Err(error),
            },
        }
    }

    /// Ends the access unit: returns its picture and drops its recovery point message.
    fn end_of_access_unit(&mut self) -> Option<PicturePlan> {
        self.pending_sei.recovery_frame_cnt = None;
        self.flush()
    }

    fn bytes_to_log(&self, nal: &[u8]) -> usize {
        match nal.first().map_or(0, |header| header & 31) {
            unit::SLICE | unit::IDR_SLICE | unit::SEI if self.header_bits > 0 => {
                index_log::bytes_of_header(self.header_bits)
            }
            unit::SLICE | unit::IDR_SLICE => index_log::DAMAGED_SLICE_BYTES,
            unit::SPS | unit::PPS => nal.len(),
            unit::SLICE_EXTENSION => 2, // distinguishes layers from views
            _ => 1,
        }
    }

    fn loses_slices(nal: &[u8]) -> bool {
        let header = nal.first().copied().unwrap_or(0);
        matches!(header & 31, unit::SLICE..=unit::IDR_SLICE) || header & 0x80 != 0
    }
}

impl HeaderParser {
    fn unit(&mut self, nal: &[u8], size: usize, sample: u64) -> Result<Option<PicturePlan>> {
        self.header_bits = 0;
        let is_same_sample = self.position.sample == sample;
        self.position = UnitPosition {
            sample,
            index: if is_same_sample {
                self.position.index + 1
            } else {
                0
            },
            size,
        };
        let Some((&header, payload)) = nal.split_first() else {
            return Ok(None);
        };
        if header & 0x80 != 0 {
            return self.damaged_unit("forbidden_zero_bit");
        }
        let (nal_ref_idc, unit_type) = (header >> 5 & 3, header & 31);
        match unit_type {
            unit::SLICE | unit::IDR_SLICE => return self.slice(payload, unit_type, nal_ref_idc),
            unit::PARTITION_A..=unit::PARTITION_C => return self.slice_data_partition(),
            unit::SLICE_EXTENSION => return self.slice_extension(payload, nal_ref_idc),
            unit::SUBSET_SPS => {
                unescape(payload, &mut self.scratch);
                self.has_views |= Sps::parse(&self.scratch).is_ok_and(|sps| sps.has_views());
            }
            unit::SPS => {
                self.put_sps(payload)?;
                return Ok(self.flush());
            }
            unit::PPS => {
                self.put_pps(payload)?;
                return Ok(self.flush());
            }
            unit::SEI => self.sei(payload),
            unit::ACCESS_UNIT_DELIMITER | unit::END_OF_SEQUENCE | unit::END_OF_STREAM => {
                return Ok(self.end_of_access_unit())
            }
            _ => {}
        }
        Ok(None)
    }

    fn slice_data_partition(&mut self) -> Result<Option<PicturePlan>> {
        if self.is_extended(None) {
            return Err(Error::Unsupported {
                codec: "H.264",
                feature: "data partitioning",
            });
        }
        self.damaged_unit("nal_unit_type")
    }

    fn slice_extension(&mut self, payload: &[u8], nal_ref_idc: u8) -> Result<Option<PicturePlan>> {
        if is_scalable(payload) {
            return Ok(None);
        }
        if self.is_view(payload, nal_ref_idc) {
            return Err(Error::Unsupported {
                codec: "H.264",
                feature: "MVC views beyond the base view",
            });
        }
        self.damaged_unit("nal_unit_type")
    }

    /// A unit that the stream cannot contain: the current picture is damaged.
    fn damaged_unit(&mut self, element: &'static str) -> Result<Option<PicturePlan>> {
        Err(self.assembler.record_error(Error::malformed(element)))
    }

    /// Whether the stream has the Extended profile: according to `sps`, else to any known set, and to the
    /// set of the first picture. Damage may imitate one set, but not both.
    fn is_extended(&self, sps: Option<&Sps>) -> bool {
        let first = self.assembler.first_sps();
        let extended = match sps.or(first) {
            Some(sps) => sps.is_extended(),
            None => self.sps.iter().flatten().any(|sps| sps.is_extended()),
        };
        extended && first.is_none_or(|sps| sps.is_extended())
    }

    /// Whether a coded slice extension belongs to another view: the stream has a parameter set for views,
    /// or the slice has the order of the current picture.
    fn is_view(&self, payload: &[u8], nal_ref_idc: u8) -> bool {
        const MVC_HEADER: usize = 3;
        const RESERVED_ONE_BIT: u8 = 1;
        if self.has_views {
            return true;
        }
        let Some((header, slice)) = payload.split_at_checked(MVC_HEADER) else {
            return false;
        };
        let mut rbsp = Vec::new();
        unescape(&slice[..slice.len().min(MAX_HEADER_BYTES)], &mut rbsp);
        let idr = header[0] & 0x40 == 0;
        let unit_type = if idr { unit::IDR_SLICE } else { unit::SLICE };
        let parsed = self.parse_header(&rbsp, unit_type, nal_ref_idc);
        header[2] & RESERVED_ONE_BIT == 1
            && parsed.is_ok_and(|(header, ..)| self.assembler.has_order_of(&header))
    }

    fn sei(&mut self, payload: &[u8]) {
        unescape(payload, &mut self.scratch);
        let sei = Sei::parse(&self.scratch);
        self.header_bits = sei.end * 8;
        let count = &mut self.pending_sei.recovery_frame_cnt;
        *count = sei.recovery_frame_cnt.or(*count);
        let build = &mut self.pending_sei.x264_build;
        *build = sei.x264_build.or(*build);
    }

    fn put_sps(&mut self, payload: &[u8]) -> Result<()> {
        unescape(payload, &mut self.scratch);
        let sps =
            Sps::parse(&self.scratch).map_err(|e| e.in_picture(self.assembler.next_index()))?;
        let slot = &mut self.sps[sps.seq_parameter_set_id as usize];
        if slot.as_deref() != Some(&sps) {
            *slot = Some(Arc::new(sps));
        }
        Ok(())
    }

    fn put_pps(&mut self, payload: &[u8]) -> Result<()> {
        unescape(payload, &mut self.scratch);
        let pps = Pps::parse(&self.scratch)
            .map_err(|e| Error::from(e).in_picture(self.assembler.next_index()))?;
        let id = pps.pic_parameter_set_id as usize;
        self.pps[id] = Some(Arc::new(pps));
        Ok(())
    }

    fn slice(
        &mut self,
        payload: &[u8],
        unit_type: u8,
        nal_ref_idc: u8,
    ) -> Result<Option<PicturePlan>> {
        let mut rbsp = std::mem::take(&mut self.scratch);
        let size = if self.headers_only {
            payload.len().min(MAX_HEADER_BYTES)
        } else {
            payload.len()
        };
        unescape(&payload[..size], &mut rbsp);
        let (header, sps, pps) = match self.parse_header(&rbsp, unit_type, nal_ref_idc) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.scratch = rbsp;
                self.pending_sei.recovery_frame_cnt = None;
                return Err(self.assembler.record_error(error));
            }
        };
        self.header_bits = header.data_bit;
        if header.redundant_pic_cnt > 0 || header.colour_plane_id != 0 {
            self.scratch = rbsp;
            return Ok(None);
        }
        let mut previous = None;
        if self.assembler.starts_picture(&header) {
            previous = self.flush();
            let sample = self.position.sample;
            self.assembler
                .start(&header, &sps, &pps, sample, &self.pending_sei);
            self.pending_sei.recovery_frame_cnt = None;
        }
        if self.headers_only {
            self.scratch = rbsp;
            rbsp = Vec::new();
        }
        self.assembler.add_slice(header, pps, rbsp, self.position);
        Ok(previous)
    }

    /// Parses a slice header with the parameter sets that it refers to.
    fn parse_header(
        &self,
        rbsp: &[u8],
        unit_type: u8,
        nal_ref_idc: u8,
    ) -> Result<(SliceHeader, Arc<Sps>, Arc<Pps>)> {
        let pps_id = peek_pps_id(rbsp)?;
        let pps = self.pps[pps_id as usize].clone();
        let pps = pps.ok_or(Error::malformed("pic_parameter_set_id"))?;
        let sps = self.sps[pps.seq_parameter_set_id as usize].clone();
        let sps = sps.ok_or(Error::malformed("seq_parameter_set_id"))?;
        if pps.slice_groups {
            // After pictures without slice groups this is damage of a repeated parameter set.
            let possible = sps.allows_slice_groups() && self.assembler.first_sps().is_none();
            return Err(if possible {
                Error::Unsupported {
                    codec: "H.264",
                    feature: "flexible macroblock ordering (slice groups)",
                }
            } else {
                Error::malformed("num_slice_groups_minus1")
            });
        }
        match SliceHeader::parse(rbsp, unit_type, nal_ref_idc, &sps, &pps) {
            // SP and SI slices.
            Err(Error::Unsupported { .. }) if !self.is_extended(Some(&sps)) => {
                Err(Error::malformed("slice_type"))
            }
            header => Ok((header?, sps, pps)),
        }
    }

    /// Ends the current picture.
    fn flush(&mut self) -> Option<PicturePlan> {
        self.assembler.flush()
    }
}

/// svc_extension_flag of a coded slice extension (clause 7.3.1): a layer of scalable coding, which a
/// decoder of the base layer ignores.
fn is_scalable(payload: &[u8]) -> bool {
    payload.first().is_some_and(|byte| byte & 0x80 != 0)
}
