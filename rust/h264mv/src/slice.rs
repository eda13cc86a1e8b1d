//! Slice headers (clause 7.3.3).

use crate::bits::BitReader;
use crate::error::{Error, Result};
use crate::nal::unit;
use crate::params::Sps;
use crate::pps::Pps;

/// slice_type without the "all slices alike" offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum SliceType {
    I,
    P,
    B,
}

/// Which part of a frame a picture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Structure {
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

/// One entry of ref_pic_list_modification().
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Modification {
    /// modification_of_pic_nums_idc: 0 subtract, 1 add, 2 long-term.
    pub idc: u8,
    /// abs_diff_pic_num_minus1 or long_term_pic_num.
    pub value: u32,
}

/// One memory_management_control_operation with its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names)]
pub(crate) enum Mmco {
    UnmarkShort {
        difference_of_pic_nums_minus1: u32,
    },
    UnmarkLong {
        long_term_pic_num: u32,
    },
    ShortToLong {
        difference_of_pic_nums_minus1: u32,
        long_term_frame_idx: u32,
    },
    MaxLongIdx {
        max_long_term_frame_idx_plus1: u32,
    },
    UnmarkAll,
    CurrentToLong {
        long_term_frame_idx: u32,
    },
}

/// dec_ref_pic_marking().
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Marking {
    SlidingWindow,
    Adaptive(Vec<Mmco>),
    Idr { long_term_reference_flag: bool },
}

/// A slice header, with the fields that parsing, marking and ordering need.
#[derive(Debug, Clone)]
pub(crate) struct SliceHeader {
    pub nal_ref_idc: u8,
    pub idr: bool,
    pub first_mb_in_slice: u32,
    pub slice_type: SliceType,
    /// All slices of the picture are of this type (table 7-6; IDR pictures hold I slices alone).
    pub all_alike: bool,
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
    /// Where slice_data() starts, in bits of the RBSP.
    pub data_bit: usize,
}

/// pic_parameter_set_id of a slice, read ahead of the header that depends on it.
pub(crate) fn peek_pps_id(rbsp: &[u8]) -> Result<u8> {
    let mut r = BitReader::new(rbsp);
    r.ue("first_mb_in_slice")?;
    r.ue("slice_type")?;
    Ok(r.ue_max(255, "pic_parameter_set_id")? as u8)
}

impl SliceHeader {
    /// What is inferred where the syntax leaves an element out.
    pub const EMPTY: SliceHeader = SliceHeader {
        nal_ref_idc: 0,
        idr: false,
        first_mb_in_slice: 0,
        slice_type: SliceType::I,
        all_alike: false,
        pic_parameter_set_id: 0,
        colour_plane_id: 0,
        frame_num: 0,
        structure: Structure::Frame,
        idr_pic_id: 0,
        pic_order_cnt_lsb: 0,
        delta_pic_order_cnt_bottom: 0,
        delta_pic_order_cnt: [0; 2],
        redundant_pic_cnt: 0,
        direct_spatial_mv_pred_flag: false,
        num_ref_idx_active: [0; 2],
        modifications: [Vec::new(), Vec::new()],
        marking: Marking::SlidingWindow,
        cabac_init_idc: 0,
        slice_qp: 0,
        data_bit: 0,
    };

    /// Parses slice_header() from the RBSP of a NAL unit with the given header fields.
    pub fn parse(rbsp: &[u8], nal_type: u8, nal_ref_idc: u8, sps: &Sps, pps: &Pps) -> Result<Self> {
        let r = &mut BitReader::new(rbsp);
        let idr = nal_type == unit::IDR_SLICE;
        let first_mb_in_slice = r.ue("first_mb_in_slice")?;
        let coded_type = r.ue_max(9, "slice_type")?;
        let slice_type = match coded_type % 5 {
            0 => SliceType::P,
            1 => SliceType::B,
            2 => SliceType::I,
            _ => {
                return Err(Error::Unsupported {
                    feature: "SP and SI slices",
                })
            }
        };
        let mut h = SliceHeader {
            nal_ref_idc,
            idr,
            first_mb_in_slice,
            slice_type,
            all_alike: coded_type >= 5 || idr,
            pic_parameter_set_id: r.ue_max(255, "pic_parameter_set_id")? as u8,
            ..SliceHeader::EMPTY
        };
        h.parse_identity(r, sps, pps)?;
        h.parse_references(r, pps)?;
        h.parse_weights(r, sps, pps)?;
        if nal_ref_idc != 0 {
            h.marking = parse_marking(r, idr)?;
        }
        h.parse_coding(r, sps, pps)?;
        h.data_bit = r.position();
        Ok(h)
    }

    /// The fields that identify the picture: frame_num to redundant_pic_cnt.
    fn parse_identity(&mut self, r: &mut BitReader, sps: &Sps, pps: &Pps) -> Result<()> {
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
        let extra = pps.bottom_field_pic_order_in_frame_present_flag && frame;
        if sps.pic_order_cnt_type == 0 {
            let lsb_bits = sps.log2_max_pic_order_cnt_lsb as u32;
            self.pic_order_cnt_lsb = r.u(lsb_bits, "pic_order_cnt_lsb")?;
            if extra {
                self.delta_pic_order_cnt_bottom = r.se("delta_pic_order_cnt_bottom")?;
            }
        } else if sps.pic_order_cnt_type == 1 && !sps.delta_pic_order_always_zero_flag {
            self.delta_pic_order_cnt[0] = r.se("delta_pic_order_cnt[0]")?;
            if extra {
                self.delta_pic_order_cnt[1] = r.se("delta_pic_order_cnt[1]")?;
            }
        }
        if pps.redundant_pic_cnt_present_flag {
            self.redundant_pic_cnt = r.ue_max(127, "redundant_pic_cnt")?;
        }
        Ok(())
    }

    /// Direct mode, reference counts and ref_pic_list_modification().
    fn parse_references(&mut self, r: &mut BitReader, pps: &Pps) -> Result<()> {
        let lists = self.lists();
        if self.slice_type == SliceType::B {
            self.direct_spatial_mv_pred_flag = r.flag("direct_spatial_mv_pred_flag")?;
        }
        let given = lists > 0 && r.flag("num_ref_idx_active_override_flag")?;
        let max = if self.structure == Structure::Frame {
            15
        } else {
            31
        };
        for list in 0..lists {
            let active = if given {
                1 + r.ue_max(max, "num_ref_idx_active_minus1")?
            } else {
                (pps.num_ref_idx_default_active[list] as u32).min(max + 1)
            };
            self.num_ref_idx_active[list] = active as u8;
        }
        for list in 0..lists {
            if !r.flag("ref_pic_list_modification_flag")? {
                continue;
            }
            loop {
                let idc = r.ue_max(3, "modification_of_pic_nums_idc")? as u8;
                if idc == 3 {
                    break;
                }
                if self.modifications[list].len() > 66 {
                    return Err(Error::malformed("ref_pic_list_modification"));
                }
                let value = r.ue("abs_diff_pic_num_minus1")?;
                self.modifications[list].push(Modification { idc, value });
            }
        }
        Ok(())
    }

    /// pred_weight_table(): weights serve reconstruction only.
    fn parse_weights(&mut self, r: &mut BitReader, sps: &Sps, pps: &Pps) -> Result<()> {
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

    /// cabac_init_idc to the deblocking offsets.
    fn parse_coding(&mut self, r: &mut BitReader, sps: &Sps, pps: &Pps) -> Result<()> {
        if pps.entropy_coding_mode_flag && self.slice_type != SliceType::I {
            self.cabac_init_idc = 1 + r.ue_max(2, "cabac_init_idc")? as u8;
        }
        let qp = pps.pic_init_qp.saturating_add(r.se("slice_qp_delta")?);
        let lowest = -6 * (sps.bit_depth_luma as i32 - 8);
        if qp < lowest || qp > 51 {
            return Err(Error::malformed("slice_qp_delta"));
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

    /// How many reference lists the slice uses.
    pub fn lists(&self) -> usize {
        match self.slice_type {
            SliceType::I => 0,
            SliceType::P => 1,
            SliceType::B => 2,
        }
    }

    /// Whether this slice starts a new picture after one with header `last` (clause 7.4.1.2.4).
    ///
    /// A different PPS alone starts one only together with the first macroblock: some encoders
    /// mix picture parameter sets inside a picture.
    pub fn starts_picture(&self, last: &SliceHeader) -> bool {
        !self.shares_time(last)
            || (self.nal_ref_idc == 0) != (last.nal_ref_idc == 0)
            || self.idr != last.idr
            || self.idr_pic_id != last.idr_pic_id
            || (self.pic_parameter_set_id != last.pic_parameter_set_id
                && self.first_mb_in_slice == 0)
    }

    /// Whether frame_num, structure and picture order count are those of `other`.
    pub fn shares_time(&self, other: &SliceHeader) -> bool {
        self.frame_num == other.frame_num
            && self.structure == other.structure
            && self.pic_order_cnt_lsb == other.pic_order_cnt_lsb
            && self.delta_pic_order_cnt_bottom == other.delta_pic_order_cnt_bottom
            && self.delta_pic_order_cnt == other.delta_pic_order_cnt
    }

    /// Whether memory_management_control_operation 5 is among the operations.
    pub fn has_mmco5(&self) -> bool {
        matches!(&self.marking, Marking::Adaptive(ops) if ops.contains(&Mmco::UnmarkAll))
    }
}

fn parse_marking(r: &mut BitReader, idr: bool) -> Result<Marking> {
    if idr {
        r.flag("no_output_of_prior_pics_flag")?;
        let long_term_reference_flag = r.flag("long_term_reference_flag")?;
        return Ok(Marking::Idr {
            long_term_reference_flag,
        });
    }
    if !r.flag("adaptive_ref_pic_marking_mode_flag")? {
        return Ok(Marking::SlidingWindow);
    }
    let mut ops = Vec::new();
    while ops.len() <= 66 {
        let op = match r.ue_max(6, "memory_management_control_operation")? {
            0 => return Ok(Marking::Adaptive(ops)),
            1 => Mmco::UnmarkShort {
                difference_of_pic_nums_minus1: r.ue("difference_of_pic_nums_minus1")?,
            },
            2 => Mmco::UnmarkLong {
                long_term_pic_num: r.ue("long_term_pic_num")?,
            },
            3 => Mmco::ShortToLong {
                difference_of_pic_nums_minus1: r.ue("difference_of_pic_nums_minus1")?,
                long_term_frame_idx: r.ue_max(15, "long_term_frame_idx")?,
            },
            4 => Mmco::MaxLongIdx {
                max_long_term_frame_idx_plus1: r.ue_max(16, "max_long_term_frame_idx_plus1")?,
            },
            5 => Mmco::UnmarkAll,
            _ => Mmco::CurrentToLong {
                long_term_frame_idx: r.ue_max(15, "long_term_frame_idx")?,
            },
        };
        ops.push(op);
    }
    Err(Error::malformed("memory_management_control_operation"))
}
