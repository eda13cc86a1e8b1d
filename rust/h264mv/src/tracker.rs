//! Follows a stream's headers: NAL units in, plans of pictures out.

use std::sync::Arc;

use crate::assembly::{Announced, Assembly};
use crate::error::{Error, Result};
use crate::nal::{unescape, unit};
use crate::params::Sps;
use crate::plan::PicturePlan;
use crate::pps::Pps;
use crate::sei::Sei;
use crate::slice::{peek_pps_id, SliceHeader};

/// A slice header fits well into this many bytes; more is not read when only headers count.
const HEADER_BYTES: usize = 4096;

/// Turns NAL units into [`PicturePlan`]s, in decoding order.
#[derive(Debug, Clone)]
pub struct Tracker {
    headers_only: bool,
    sps: Vec<Option<Arc<Sps>>>,
    /// A subset sequence parameter set of a profile with several views was seen.
    views: bool,
    pps: Vec<Option<Arc<Pps>>>,
    assembly: Assembly,
    /// What SEI messages announce of the picture that starts next.
    announced: Announced,
    /// The current sample, and how many of its units were pushed.
    sample: (u64, u32),
    /// Where what was read of the unit pushed last ends: a slice header or SEI messages; else 0.
    header_bits: usize,
    scratch: Vec<u8>,
}

impl Tracker {
    /// A tracker; with `headers_only` its plans carry no slice data.
    pub fn new(headers_only: bool) -> Self {
        Tracker {
            headers_only,
            sps: vec![None; 32],
            views: false,
            pps: vec![None; 256],
            assembly: Assembly::default(),
            announced: Announced::default(),
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
        self.assembly.resume(next_index, period);
    }

    /// Where what was read of the unit pushed last ends in its RBSP: at the start of slice data, or
    /// behind the SEI messages that say something; 0 for other units.
    pub(crate) fn header_bits(&self) -> usize {
        self.header_bits
    }

    /// decode_index of the picture that the next first slice will start.
    pub fn next_index(&self) -> u64 {
        self.assembly.next_index()
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
            return Err(self.assembly.blame(Error::malformed("forbidden_zero_bit")));
        }
        let (ref_idc, kind) = (head >> 5 & 3, head & 31);
        match kind {
            unit::SLICE | unit::IDR_SLICE => self.slice(payload, (kind, ref_idc), size, sample),
            unit::PARTITION_A..=unit::PARTITION_C if self.is_extended(None) => {
                Err(Error::Unsupported {
                    feature: "data partitioning",
                })
            }
            unit::PARTITION_A..=unit::PARTITION_C => self.stray_unit(),
            unit::SLICE_EXTENSION if is_scalable(payload) => Ok(None),
            unit::SLICE_EXTENSION if self.is_view(payload, ref_idc) => Err(Error::Unsupported {
                feature: "MVC views beyond the base view",
            }),
            unit::SLICE_EXTENSION => self.stray_unit(),
            unit::SUBSET_SPS => {
                unescape(payload, &mut self.scratch);
                self.views |= Sps::parse(&self.scratch).is_ok_and(|sps| sps.has_views());
                Ok(None)
            }
            unit::SPS => {
                self.put_sps(payload)?;
                Ok(self.flush())
            }
            unit::PPS => {
                self.put_pps(payload)?;
                Ok(self.flush())
            }
            unit::SEI => {
                self.sei(payload);
                Ok(None)
            }
            unit::ACCESS_UNIT_DELIMITER | unit::END_OF_SEQUENCE | unit::END_OF_STREAM => {
                Ok(self.end_of_access_unit())
            }
            _ => Ok(None),
        }
    }

    /// A unit of a kind that the stream cannot hold: damage.
    fn stray_unit(&mut self) -> Result<Option<PicturePlan>> {
        Err(self.assembly.blame(Error::malformed("nal_unit_type")))
    }

    /// Whether the stream is of the Extended profile: `sps`, else what is known of it, says so, and
    /// so did the set that its first picture was coded with. Damage may fake one set, not both.
    fn is_extended(&self, sps: Option<&Sps>) -> bool {
        let first = self.assembly.first_sps();
        let known = || self.sps.iter().flatten().any(|sps| sps.is_extended());
        let extended = match sps.or(first) {
            Some(sps) => sps.is_extended(),
            None => known(),
        };
        extended && first.is_none_or(|sps| sps.is_extended())
    }

    /// Whether a coded slice extension belongs to a further view: the stream has a set for views, or
    /// the slice fits to the picture that it follows.
    fn is_view(&self, payload: &[u8], ref_idc: u8) -> bool {
        const MVC_HEADER: usize = 3;
        const RESERVED_ONE_BIT: u8 = 1;
        if self.views {
            return true;
        }
        let Some((header, slice)) = payload.split_at_checked(MVC_HEADER) else {
            return false;
        };
        let mut rbsp = Vec::new();
        unescape(&slice[..slice.len().min(HEADER_BYTES)], &mut rbsp);
        let idr = header[0] & 0x40 == 0;
        let kind = if idr { unit::IDR_SLICE } else { unit::SLICE };
        let parsed = self.parse_header(&rbsp, kind, ref_idc);
        header[2] & RESERVED_ONE_BIT == 1
            && parsed.is_ok_and(|(header, ..)| self.assembly.is_at_time_of(&header))
    }

    fn sei(&mut self, payload: &[u8]) {
        unescape(payload, &mut self.scratch);
        let sei = Sei::parse(&self.scratch);
        self.header_bits = sei.end * 8;
        let count = &mut self.announced.recovery_frame_cnt;
        *count = sei.recovery_frame_cnt.or(*count);
        let build = &mut self.announced.x264_build;
        *build = sei.x264_build.or(*build);
    }

    fn put_sps(&mut self, payload: &[u8]) -> Result<()> {
        unescape(payload, &mut self.scratch);
        let sps = Sps::parse(&self.scratch).map_err(|e| e.in_picture(self.next_index()))?;
        let slot = &mut self.sps[sps.seq_parameter_set_id as usize];
        if slot.as_deref() != Some(&sps) {
            *slot = Some(Arc::new(sps));
        }
        Ok(())
    }

    fn put_pps(&mut self, payload: &[u8]) -> Result<()> {
        unescape(payload, &mut self.scratch);
        let pps = Pps::parse(&self.scratch).map_err(|e| e.in_picture(self.next_index()))?;
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
                self.announced.recovery_frame_cnt = None;
                return Err(self.assembly.blame(error));
            }
        };
        self.header_bits = header.data_bit;
        if header.redundant_pic_cnt > 0 || header.colour_plane_id != 0 {
            self.scratch = rbsp;
            return Ok(None);
        }
        let fresh = self.assembly.is_fresh(&header);
        let done = if fresh { self.flush() } else { None };
        if fresh {
            let announced = self.announced.clone();
            self.announced.recovery_frame_cnt = None;
            self.assembly.start(&header, &sps, &pps, sample, announced);
        }
        if self.headers_only {
            self.scratch = rbsp;
            rbsp = Vec::new();
        }
        self.assembly
            .add_slice(header, pps, rbsp, self.sample, size);
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
            // Once there were pictures without, this is damage: a set is sent many times.
            let possible = sps.allows_slice_groups() && self.assembly.first_sps().is_none();
            return Err(if possible {
                Error::Unsupported {
                    feature: "flexible macroblock ordering (slice groups)",
                }
            } else {
                Error::malformed("num_slice_groups_minus1")
            });
        }
        match SliceHeader::parse(rbsp, kind, ref_idc, &sps, &pps) {
            Err(Error::Unsupported { .. }) if !self.is_extended(Some(&sps)) => {
                Err(Error::malformed("slice_type"))
            }
            header => Ok((header?, sps, pps)),
        }
    }

    /// Ends the access unit: its picture, and what its messages announce.
    pub fn end_of_access_unit(&mut self) -> Option<PicturePlan> {
        self.announced.recovery_frame_cnt = None;
        self.flush()
    }

    /// Ends the picture being collected.
    pub fn flush(&mut self) -> Option<PicturePlan> {
        self.assembly.flush()
    }
}

/// svc_extension_flag of a coded slice extension (clause 7.3.1): layers of scalable coding, which a
/// decoder of the base layer is to ignore.
fn is_scalable(payload: &[u8]) -> bool {
    payload.first().is_some_and(|byte| byte & 0x80 != 0)
}
