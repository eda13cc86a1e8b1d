//! Slice segment headers (clause 7.3.6).

use bitstream::BitReader;

use super::nal::NalHeader;
use super::pps::Pps;
use super::ref_pic_set::{ShortTermRefPicSet, MAX_PICTURES};
use super::sps::Sps;
use bitstream::{Error, Result};

/// slice_type (table 7-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum SliceType {
    I,
    P,
    B,
}

/// A long-term reference picture of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SliceLongTermPic {
    /// PocLsbLt.
    pub poc_lsb: u32,
    /// DeltaPocMsbCycleLt, where delta_poc_msb_present_flag is set.
    pub delta_poc_msb_cycle: Option<u32>,
    /// UsedByCurrPicLt.
    pub used_by_curr_pic: bool,
}

/// Where the co-located picture is in the reference lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Collocated {
    /// collocated_from_l0_flag.
    pub from_l0: bool,
    /// collocated_ref_idx.
    pub ref_idx: u32,
}

/// A slice segment header; a dependent one holds the values of the slice that it continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SliceHeader {
    pub first_slice_segment_in_pic: bool,
    pub dependent: bool,
    /// slice_segment_address.
    pub address: u32,
    /// SliceAddrRs: the address of the slice that the segment belongs to.
    pub slice_address: u32,
    pub slice_type: SliceType,
    pub pic_output: bool,
    /// colour_plane_id; 0 where the planes are coded together.
    pub colour_plane: u32,
    pub poc_lsb: u32,
    pub short_term_set: ShortTermRefPicSet,
    pub long_term_pics: Vec<SliceLongTermPic>,
    pub temporal_mvp_enabled: bool,
    pub sao_luma: bool,
    pub sao_chroma: bool,
    pub num_ref_idx_active: [u32; 2],
    /// list_entry_lX, where the list is modified.
    pub list_entries: [Option<Vec<u8>>; 2],
    pub mvd_l1_zero: bool,
    pub cabac_init_flag: bool,
    pub collocated: Collocated,
    pub max_num_merge_cand: u32,
    /// SliceQpY.
    pub slice_qp: i32,
    pub cu_chroma_qp_offset_enabled: bool,
    /// Byte of the RBSP at which slice_segment_data() starts.
    pub data_offset: usize,
}

/// The start of a header, up to slice_pic_parameter_set_id.
pub(crate) struct SliceStart {
    pub first_slice_segment_in_pic: bool,
    pub no_output_of_prior_pics: bool,
    pub pic_parameter_set_id: u32,
}

impl SliceStart {
    pub fn parse(r: &mut BitReader, nal: NalHeader) -> Result<Self> {
        let first_slice_segment_in_pic = r.flag("first_slice_segment_in_pic_flag")?;
        let no_output_of_prior_pics = nal.is_irap() && r.flag("no_output_of_prior_pics_flag")?;
        Ok(SliceStart {
            first_slice_segment_in_pic,
            no_output_of_prior_pics,
            pic_parameter_set_id: r.ue_max(63, "slice_pic_parameter_set_id")?,
        })
    }
}

impl SliceHeader {
    /// Parses a header. `before` is the header of the previous slice segment of the picture, which a
    /// dependent segment continues.
    pub fn parse(
        rbsp: &[u8],
        nal: NalHeader,
        sps: &Sps,
        pps: &Pps,
        before: Option<&SliceHeader>,
    ) -> Result<Self> {
        let r = &mut BitReader::new(rbsp);
        let start = SliceStart::parse(r, nal)?;
        let mut dependent = false;
        let mut address = 0;
        if !start.first_slice_segment_in_pic {
            if pps.dependent_slice_segments_enabled {
                dependent = r.flag("dependent_slice_segment_flag")?;
            }
            let bits = ceil_log2(sps.size_in_ctbs());
            if bits > 0 {
                address = r.u(bits, "slice_segment_address")?;
            }
            let repeated = address == 0 && !sps.separate_colour_plane;
            if repeated || address as usize >= sps.size_in_ctbs() {
                return Err(Error::malformed("slice_segment_address"));
            }
        }
        let mut header = if dependent {
            before
                .cloned()
                .ok_or(Error::lost_reference("the slice that a segment continues"))?
        } else {
            Self::independent(r, nal, sps, pps, address)?
        };
        header.first_slice_segment_in_pic = start.first_slice_segment_in_pic;
        (header.dependent, header.address) = (dependent, address);
        if pps.tiles.is_some() || pps.entropy_coding_sync_enabled {
            let count = r.ue_max(sps.size_in_ctbs() as u32, "num_entry_point_offsets")?;
            if count > 0 {
                let length = 1 + r.ue_max(31, "offset_len_minus1")?;
                for _ in 0..count {
                    r.u(length, "entry_point_offset_minus1")?;
                }
            }
        }
        if pps.slice_segment_header_extension_present {
            for _ in 0..r.ue_max(256, "slice_segment_header_extension_length")? {
                r.u(8, "slice_segment_header_extension_data_byte")?;
            }
        }
        if !r.flag("alignment_bit_equal_to_one")? {
            return Err(Error::malformed("alignment_bit_equal_to_one"));
        }
        header.data_offset = r.position().div_ceil(8);
        Ok(header)
    }

    fn independent(
        r: &mut BitReader,
        nal: NalHeader,
        sps: &Sps,
        pps: &Pps,
        address: u32,
    ) -> Result<Self> {
        for _ in 0..pps.num_extra_slice_header_bits {
            r.flag("slice_reserved_flag")?;
        }
        let slice_type = match r.ue_max(2, "slice_type")? {
            0 => SliceType::B,
            1 => SliceType::P,
            _ => SliceType::I,
        };
        let mut header = SliceHeader {
            first_slice_segment_in_pic: false,
            dependent: false,
            address,
            slice_address: address,
            slice_type,
            pic_output: true,
            colour_plane: 0,
            poc_lsb: 0,
            short_term_set: ShortTermRefPicSet::default(),
            long_term_pics: Vec::new(),
            temporal_mvp_enabled: false,
            sao_luma: false,
            sao_chroma: false,
            num_ref_idx_active: [0; 2],
            list_entries: [None, None],
            mvd_l1_zero: false,
            cabac_init_flag: false,
            collocated: Collocated {
                from_l0: true,
                ref_idx: 0,
            },
            max_num_merge_cand: 0,
            slice_qp: 0,
            cu_chroma_qp_offset_enabled: false,
            data_offset: 0,
        };
        if pps.output_flag_present {
            header.pic_output = r.flag("pic_output_flag")?;
        }
        if sps.separate_colour_plane {
            header.colour_plane = r.u(2, "colour_plane_id")?;
        }
        if !nal.is_idr() {
            header.reference_pictures(r, sps)?;
        }
        if sps.sao_enabled {
            header.sao_luma = r.flag("slice_sao_luma_flag")?;
            if sps.chroma_array_type() != 0 {
                header.sao_chroma = r.flag("slice_sao_chroma_flag")?;
            }
        }
        if slice_type != SliceType::I {
            header.inter(r, sps, pps)?;
        }
        let delta = r.se("slice_qp_delta")?.clamp(-256, 256);
        header.slice_qp = pps.init_qp + delta;
        if pps.slice_chroma_qp_offsets_present {
            r.se("slice_cb_qp_offset")?;
            r.se("slice_cr_qp_offset")?;
        }
        if pps.range.chroma_qp_offset_list_enabled {
            header.cu_chroma_qp_offset_enabled = r.flag("cu_chroma_qp_offset_enabled_flag")?;
        }
        header.loop_filters(r, pps)?;
        Ok(header)
    }

    /// Whether a segment may follow the segment `before` in its picture. If not, the first segment of its
    /// picture is lost.
    pub fn may_follow(&self, before: &SliceHeader, pps: &Pps) -> bool {
        // With tiles, the order of segments is not that of their addresses.
        let in_order = self.address > before.address || self.colour_plane != before.colour_plane;
        self.poc_lsb == before.poc_lsb && (in_order || pps.tiles.is_some())
    }

    /// slice_pic_order_cnt_lsb to slice_temporal_mvp_enabled_flag.
    fn reference_pictures(&mut self, r: &mut BitReader, sps: &Sps) -> Result<()> {
        self.poc_lsb = r.u(sps.log2_max_poc_lsb, "slice_pic_order_cnt_lsb")?;
        let sets = &sps.short_term_sets;
        self.short_term_set = if r.flag("short_term_ref_pic_set_sps_flag")? {
            let bits = ceil_log2(sets.len());
            let index = if bits > 0 {
                r.u(bits, "short_term_ref_pic_set_idx")? as usize
            } else {
                0
            };
            let set = sets.get(index);
            set.cloned()
                .ok_or(Error::malformed("short_term_ref_pic_set_idx"))?
        } else {
            ShortTermRefPicSet::parse(r, sets.len(), sets, true)?
        };
        if sps.long_term_ref_pics_present {
            self.long_term_pictures(r, sps)?;
        }
        if sps.temporal_mvp_enabled {
            self.temporal_mvp_enabled = r.flag("slice_temporal_mvp_enabled_flag")?;
        }
        Ok(())
    }

    fn long_term_pictures(&mut self, r: &mut BitReader, sps: &Sps) -> Result<()> {
        let of_sps = sps.long_term_pics.len();
        let from_sps = if of_sps > 0 {
            r.ue_max(of_sps as u32, "num_long_term_sps")? as usize
        } else {
            0
        };
        let most = MAX_PICTURES.saturating_sub(from_sps) as u32;
        let own = r.ue_max(most, "num_long_term_pics")? as usize;
        let mut cycle = 0u32;
        for i in 0..from_sps + own {
            let (poc_lsb, used_by_curr_pic) = if i < from_sps {
                let bits = ceil_log2(of_sps);
                let index = if bits > 0 {
                    r.u(bits, "lt_idx_sps")?
                } else {
                    0
                };
                let picture = sps.long_term_pics.get(index as usize);
                let picture = picture.ok_or(Error::malformed("lt_idx_sps"))?;
                (picture.poc_lsb, picture.used_by_curr_pic)
            } else {
                let lsb = r.u(sps.log2_max_poc_lsb, "poc_lsb_lt")?;
                (lsb, r.flag("used_by_curr_pic_lt_flag")?)
            };
            let msb_present = r.flag("delta_poc_msb_present_flag")?;
            let delta = if msb_present {
                r.ue("delta_poc_msb_cycle_lt")?
            } else {
                0
            };
            // Equation (7-52).
            let restarts = i == 0 || i == from_sps;
            cycle = if restarts {
                delta
            } else {
                cycle.wrapping_add(delta)
            };
            self.long_term_pics.push(SliceLongTermPic {
                poc_lsb,
                delta_poc_msb_cycle: msb_present.then_some(cycle),
                used_by_curr_pic,
            });
        }
        Ok(())
    }

    /// NumPicTotalCurr (7-55).
    pub fn num_pic_total_curr(&self) -> usize {
        let long_term = self.long_term_pics.iter().filter(|p| p.used_by_curr_pic);
        self.short_term_set.used_by_curr_pic() + long_term.count()
    }

    /// Elements of P and B slices.
    fn inter(&mut self, r: &mut BitReader, sps: &Sps, pps: &Pps) -> Result<()> {
        let is_b = self.slice_type == SliceType::B;
        let lists = 1 + is_b as usize;
        let default = pps.num_ref_idx_default_active;
        self.num_ref_idx_active[..lists].copy_from_slice(&default[..lists]);
        if r.flag("num_ref_idx_active_override_flag")? {
            for active in &mut self.num_ref_idx_active[..lists] {
                *active = 1 + r.ue_max(14, "num_ref_idx_l0_active_minus1")?;
            }
        }
        let total = self.num_pic_total_curr();
        if total == 0 {
            return Err(Error::malformed("NumPicTotalCurr"));
        }
        if pps.lists_modification_present && total > 1 {
            let bits = ceil_log2(total);
            for list in 0..lists {
                if r.flag("ref_pic_list_modification_flag_l0")? {
                    let entry = |_| match r.u(bits, "list_entry_l0")? {
                        entry if (entry as usize) < total => Ok(entry as u8),
                        _ => Err(Error::malformed("list_entry_l0")),
                    };
                    let entries = (0..self.num_ref_idx_active[list]).map(entry);
                    self.list_entries[list] = Some(entries.collect::<Result<_>>()?);
                }
            }
        }
        if is_b {
            self.mvd_l1_zero = r.flag("mvd_l1_zero_flag")?;
        }
        if pps.cabac_init_present {
            self.cabac_init_flag = r.flag("cabac_init_flag")?;
        }
        if self.temporal_mvp_enabled {
            let from_l0 = !is_b || r.flag("collocated_from_l0_flag")?;
            let active = self.num_ref_idx_active[!from_l0 as usize];
            let ref_idx = if active > 1 {
                r.ue_max(active - 1, "collocated_ref_idx")?
            } else {
                0
            };
            self.collocated = Collocated { from_l0, ref_idx };
        }
        if (pps.weighted_pred && !is_b) || (pps.weighted_bipred && is_b) {
            self.skip_pred_weight_table(r, sps)?;
        }
        self.max_num_merge_cand = 5 - r.ue_max(4, "five_minus_max_num_merge_cand")?;
        Ok(())
    }

    /// pred_weight_table() (clause 7.3.6.3): weights change samples only.
    fn skip_pred_weight_table(&self, r: &mut BitReader, sps: &Sps) -> Result<()> {
        let chroma = sps.chroma_array_type() != 0;
        r.ue_max(7, "luma_log2_weight_denom")?;
        if chroma {
            r.se("delta_chroma_log2_weight_denom")?;
        }
        for &active in &self.num_ref_idx_active {
            let mut flags = [[false; 15]; 2];
            for plane in flags.iter_mut().take(1 + chroma as usize) {
                for flag in plane.iter_mut().take(active as usize) {
                    *flag = r.flag("luma_weight_l0_flag")?;
                }
            }
            for i in 0..active as usize {
                let values = 2 * flags[0][i] as u32 + 4 * flags[1][i] as u32;
                for _ in 0..values {
                    r.se("delta_luma_weight_l0")?;
                }
            }
        }
        Ok(())
    }

    /// deblocking_filter_override_flag to slice_loop_filter_across_slices_enabled_flag.
    fn loop_filters(&self, r: &mut BitReader, pps: &Pps) -> Result<()> {
        let mut disabled = pps.deblocking_filter_disabled;
        if pps.deblocking_filter_override_enabled && r.flag("deblocking_filter_override_flag")? {
            disabled = r.flag("slice_deblocking_filter_disabled_flag")?;
            if !disabled {
                r.se("slice_beta_offset_div2")?;
                r.se("slice_tc_offset_div2")?;
            }
        }
        if pps.loop_filter_across_slices_enabled && (self.sao_luma || self.sao_chroma || !disabled)
        {
            r.flag("slice_loop_filter_across_slices_enabled_flag")?;
        }
        Ok(())
    }
}

/// Ceil(Log2(value)).
fn ceil_log2(value: usize) -> u32 {
    value.max(1).next_power_of_two().trailing_zeros()
}
