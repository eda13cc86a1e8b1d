//! Slice headers (clause 7.3.3).

use bitstream::{BitReader, Malformed};

use crate::syntax::nal_unit::nal_unit_type;
use crate::syntax::pps::Pps;
use crate::syntax::ref_pic::{parse_marking, parse_modifications, Marking, Mmco, Modification};
use crate::syntax::sps::Sps;
use bitstream::{Error, Result};

/// slice_type modulo 5 (table 7-6), without SP and SI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum SliceType {
    #[default]
    I,
    P,
    B,
}

/// Part of a frame that a picture holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Structure {
    #[default]
    Frame,
    Top,
    Bottom,
}

impl Structure {
    /// Bit 0 for the top field, bit 1 for the bottom field.
    pub fn parity(self) -> u8 {
        match self {
            Structure::Top => 1,
            Structure::Bottom => 2,
            Structure::Frame => 3,
        }
    }
}

/// Slice header; elements that only reconstruction needs are left out.
///
/// The default holds the values inferred for elements that are not present.
#[derive(Debug, Clone, Default)]
pub(crate) struct SliceHeader {
    pub nal_ref_idc: u8,
    pub idr: bool,
    pub first_mb_in_slice: u32,
    pub slice_type: SliceType,
    /// All slices of the picture are of this type (table 7-6; IDR pictures have I slices only).
    pub all_same_type: bool,
    pub pic_parameter_set_id: u8,
    pub colour_plane_id: u8,
    pub frame_num: u32,
    pub structure: Structure,
    pub idr_pic_id: u32,
    pub pic_order_cnt_lsb: u32,
    pub delta_pic_order_cnt_bottom: i32,
    pub delta_pic_order_cnt: [i32; 2],
    pub redundant_pic_cnt: u32,
    pub direct_spatial_mv_pred_flag: bool,
    pub num_ref_idx_active: [u8; 2],
    pub modifications: [Vec<Modification>; 2],
    pub marking: Marking,
    pub cabac_init_idc: u8,
    pub slice_qp: i32,
    /// Start of slice_data() in bits of the RBSP.
    pub data_bit: usize,
}

/// Reads pic_parameter_set_id of a slice; parsing the whole header requires that set.
pub(crate) fn peek_pps_id(rbsp: &[u8]) -> Result<u8, Malformed> {
    let mut r = BitReader::new(rbsp);
    r.ue("first_mb_in_slice")?;
    r.ue("slice_type")?;
    Ok(r.ue_max(255, "pic_parameter_set_id")? as u8)
}

impl SliceHeader {
    /// Parses slice_header() from the RBSP of a NAL unit with the given header fields.
    pub fn parse(rbsp: &[u8], nal_type: u8, nal_ref_idc: u8, sps: &Sps, pps: &Pps) -> Result<Self> {
        let r = &mut BitReader::new(rbsp);
        let idr = nal_type == nal_unit_type::IDR_SLICE;
        let first_mb_in_slice = r.ue("first_mb_in_slice")?;
        let coded_type = r.ue_max(9, "slice_type")?;
        let slice_type = match coded_type % 5 {
            0 => SliceType::P,
            1 => SliceType::B,
            2 => SliceType::I,
            _ => {
                return Err(Error::Unsupported {
                    codec: "H.264",
                    feature: "SP and SI slices",
                })
            }
        };
        let mut h = SliceHeader {
            nal_ref_idc,
            idr,
            first_mb_in_slice,
            slice_type,
            all_same_type: coded_type >= 5 || idr,
            pic_parameter_set_id: r.ue_max(255, "pic_parameter_set_id")? as u8,
            ..SliceHeader::default()
        };
        h.parse_identity(r, sps, pps)?;
        h.parse_references(r, pps)?;
        h.skip_weights(r, sps, pps)?;
        if nal_ref_idc != 0 {
            h.marking = parse_marking(r, idr)?;
        }
        h.parse_coding(r, sps, pps)?;
        h.data_bit = r.position();
        Ok(h)
    }

    /// The fields that identify the picture: frame_num to redundant_pic_cnt.
    fn parse_identity(&mut self, r: &mut BitReader, sps: &Sps, pps: &Pps) -> Result<(), Malformed> {
        if sps.separate_colour_plane_flag {
            self.colour_plane_id = r.u(2, "colour_plane_id")? as u8;
        }
        self.frame_num = r.u(sps.log2_max_frame_num as u32, "frame_num")?;
        if !sps.frame_mbs_only_flag && r.flag("field_pic_flag")? {
            self.structure = if r.flag("bottom_field_flag")? {
                Structure::Bottom
            } else {
                Structure::Top
            };
        }
        if self.idr {
            self.idr_pic_id = r.ue_max(65535, "idr_pic_id")?;
        }
        let frame = self.structure == Structure::Frame;
        let has_bottom_delta = pps.bottom_field_pic_order_in_frame_present_flag && frame;
        if sps.pic_order_cnt_type == 0 {
            let lsb_bits = sps.log2_max_pic_order_cnt_lsb as u32;
            self.pic_order_cnt_lsb = r.u(lsb_bits, "pic_order_cnt_lsb")?;
            if has_bottom_delta {
                self.delta_pic_order_cnt_bottom = r.se("delta_pic_order_cnt_bottom")?;
            }
        } else if sps.pic_order_cnt_type == 1 && !sps.delta_pic_order_always_zero_flag {
            self.delta_pic_order_cnt[0] = r.se("delta_pic_order_cnt[0]")?;
            if has_bottom_delta {
                self.delta_pic_order_cnt[1] = r.se("delta_pic_order_cnt[1]")?;
            }
        }
        if pps.redundant_pic_cnt_present_flag {
            self.redundant_pic_cnt = r.ue_max(127, "redundant_pic_cnt")?;
        }
        Ok(())
    }

    /// Direct mode, reference counts and ref_pic_list_modification().
    fn parse_references(&mut self, r: &mut BitReader, pps: &Pps) -> Result<(), Malformed> {
        let lists = self.lists();
        if self.slice_type == SliceType::B {
            self.direct_spatial_mv_pred_flag = r.flag("direct_spatial_mv_pred_flag")?;
        }
        let overridden = lists > 0 && r.flag("num_ref_idx_active_override_flag")?;
        let max = if self.structure == Structure::Frame {
            15
        } else {
            31
        };
        for list in 0..lists {
            let active = if overridden {
                1 + r.ue_max(max, "num_ref_idx_active_minus1")?
            } else {
                (pps.num_ref_idx_default_active[list] as u32).min(max + 1)
            };
            self.num_ref_idx_active[list] = active as u8;
        }
        for list in 0..lists {
            if r.flag("ref_pic_list_modification_flag")? {
                self.modifications[list] = parse_modifications(r)?;
            }
        }
        Ok(())
    }

    /// Skips pred_weight_table().
    fn skip_weights(&self, r: &mut BitReader, sps: &Sps, pps: &Pps) -> Result<(), Malformed> {
        let weighted = match self.slice_type {
            SliceType::I => false,
            SliceType::P => pps.weighted_pred_flag,
            SliceType::B => pps.weighted_bipred_idc == 1,
        };
        if !weighted {
            return Ok(());
        }
        let chroma = sps.chroma_array_type() != 0;
        r.ue_max(7, "luma_log2_weight_denom")?;
        if chroma {
            r.ue_max(7, "chroma_log2_weight_denom")?;
        }
        for list in 0..self.lists() {
            for _ in 0..self.num_ref_idx_active[list] {
                if r.flag("luma_weight_flag")? {
                    r.se("luma_weight")?;
                    r.se("luma_offset")?;
                }
                if chroma && r.flag("chroma_weight_flag")? {
                    for _ in 0..4 {
                        r.se("chroma_weight")?;
                    }
                }
            }
        }
        Ok(())
    }

    /// cabac_init_idc to slice_beta_offset_div2.
    fn parse_coding(&mut self, r: &mut BitReader, sps: &Sps, pps: &Pps) -> Result<(), Malformed> {
        if pps.entropy_coding_mode_flag && self.slice_type != SliceType::I {
            self.cabac_init_idc = 1 + r.ue_max(2, "cabac_init_idc")? as u8;
        }
        let qp = pps.pic_init_qp.saturating_add(r.se("slice_qp_delta")?);
        let lowest = -6 * (sps.bit_depth_luma as i32 - 8);
        if qp < lowest || qp > 51 {
            return Err(Malformed("slice_qp_delta"));
        }
        self.slice_qp = qp;
        if pps.deblocking_filter_control_present_flag
            && r.ue_max(2, "disable_deblocking_filter_idc")? != 1
        {
            r.se("slice_alpha_c0_offset_div2")?;
            r.se("slice_beta_offset_div2")?;
        }
        Ok(())
    }

    /// Number of reference lists of the slice type.
    pub fn lists(&self) -> usize {
        match self.slice_type {
            SliceType::I => 0,
            SliceType::P => 1,
            SliceType::B => 2,
        }
    }

    /// Whether this slice starts a new picture after a slice with header `last` (clause 7.4.1.2.4).
    ///
    /// A different PPS starts one only together with the first macroblock: some encoders mix picture
    /// parameter sets inside a picture.
    pub fn starts_picture(&self, last: &SliceHeader) -> bool {
        !self.has_same_order(last)
            || (self.nal_ref_idc == 0) != (last.nal_ref_idc == 0)
            || self.idr != last.idr
            || self.idr_pic_id != last.idr_pic_id
            || (self.pic_parameter_set_id != last.pic_parameter_set_id
                && self.first_mb_in_slice == 0)
    }

    /// Whether frame_num, structure and picture order count equal those of `other`.
    pub fn has_same_order(&self, other: &SliceHeader) -> bool {
        self.frame_num == other.frame_num
            && self.structure == other.structure
            && self.pic_order_cnt_lsb == other.pic_order_cnt_lsb
            && self.delta_pic_order_cnt_bottom == other.delta_pic_order_cnt_bottom
            && self.delta_pic_order_cnt == other.delta_pic_order_cnt
    }

    /// frame_num that later pictures see: 0 after memory_management_control_operation 5.
    pub fn frame_num_after_marking(&self) -> u32 {
        if self.has_mmco5() {
            0
        } else {
            self.frame_num
        }
    }

    /// Whether memory_management_control_operation 5 is among the operations.
    pub fn has_mmco5(&self) -> bool {
        matches!(&self.marking, Marking::Adaptive(ops) if ops.contains(&Mmco::UnmarkAll))
    }
}
