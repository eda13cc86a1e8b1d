//! Picture parameter sets (clause 7.3.2.3).

use bitstream::BitReader;

use super::scaling_list::skip_scaling_list_data;
use super::tiles::TileGrid;
use bitstream::Result;

/// pps_range_extension() fields that change the syntax of slice data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PpsRangeExtension {
    pub log2_max_transform_skip_size: u32,
    pub cross_component_prediction_enabled: bool,
    pub chroma_qp_offset_list_enabled: bool,
    pub diff_cu_chroma_qp_offset_depth: u32,
    pub chroma_qp_offset_list_len_minus1: u32,
}

impl Default for PpsRangeExtension {
    fn default() -> Self {
        PpsRangeExtension {
            log2_max_transform_skip_size: 2,
            cross_component_prediction_enabled: false,
            chroma_qp_offset_list_enabled: false,
            diff_cu_chroma_qp_offset_depth: 0,
            chroma_qp_offset_list_len_minus1: 0,
        }
    }
}

/// A picture parameter set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pps {
    /// pps_pic_parameter_set_id.
    pub pic_parameter_set_id: u32,
    /// pps_seq_parameter_set_id.
    pub seq_parameter_set_id: u32,
    pub(crate) dependent_slice_segments_enabled: bool,
    pub(crate) output_flag_present: bool,
    pub(crate) num_extra_slice_header_bits: u32,
    pub(crate) sign_data_hiding_enabled: bool,
    pub(crate) cabac_init_present: bool,
    pub(crate) num_ref_idx_default_active: [u32; 2],
    pub(crate) init_qp: i32,
    pub(crate) transform_skip_enabled: bool,
    pub(crate) cu_qp_delta_enabled: bool,
    pub(crate) diff_cu_qp_delta_depth: u32,
    pub(crate) slice_chroma_qp_offsets_present: bool,
    pub(crate) weighted_pred: bool,
    pub(crate) weighted_bipred: bool,
    pub(crate) transquant_bypass_enabled: bool,
    pub(crate) entropy_coding_sync_enabled: bool,
    pub(crate) tiles: Option<TileGrid>,
    pub(crate) loop_filter_across_slices_enabled: bool,
    pub(crate) deblocking_filter_override_enabled: bool,
    pub(crate) deblocking_filter_disabled: bool,
    pub(crate) lists_modification_present: bool,
    pub(crate) log2_parallel_merge_level: u32,
    pub(crate) slice_segment_header_extension_present: bool,
    pub(crate) range: PpsRangeExtension,
}

impl Pps {
    /// Parses the RBSP behind the NAL unit header.
    pub fn parse(rbsp: &[u8]) -> Result<Self> {
        let r = &mut BitReader::new(rbsp);
        let mut pps = Pps {
            pic_parameter_set_id: r.ue_max(63, "pps_pic_parameter_set_id")?,
            seq_parameter_set_id: r.ue_max(15, "pps_seq_parameter_set_id")?,
            dependent_slice_segments_enabled: r.flag("dependent_slice_segments_enabled_flag")?,
            output_flag_present: r.flag("output_flag_present_flag")?,
            num_extra_slice_header_bits: r.u(3, "num_extra_slice_header_bits")?,
            sign_data_hiding_enabled: r.flag("sign_data_hiding_enabled_flag")?,
            cabac_init_present: r.flag("cabac_init_present_flag")?,
            ..Pps::default()
        };
        for active in &mut pps.num_ref_idx_default_active {
            *active = 1 + r.ue_max(14, "num_ref_idx_l0_default_active_minus1")?;
        }
        pps.init_qp = 26 + r.se("init_qp_minus26")?.clamp(-128, 64);
        r.flag("constrained_intra_pred_flag")?;
        pps.transform_skip_enabled = r.flag("transform_skip_enabled_flag")?;
        pps.cu_qp_delta_enabled = r.flag("cu_qp_delta_enabled_flag")?;
        if pps.cu_qp_delta_enabled {
            pps.diff_cu_qp_delta_depth = r.ue_max(3, "diff_cu_qp_delta_depth")?;
        }
        r.se("pps_cb_qp_offset")?;
        r.se("pps_cr_qp_offset")?;
        pps.slice_chroma_qp_offsets_present = r.flag("pps_slice_chroma_qp_offsets_present_flag")?;
        pps.weighted_pred = r.flag("weighted_pred_flag")?;
        pps.weighted_bipred = r.flag("weighted_bipred_flag")?;
        pps.transquant_bypass_enabled = r.flag("transquant_bypass_enabled_flag")?;
        let tiles_enabled = r.flag("tiles_enabled_flag")?;
        pps.entropy_coding_sync_enabled = r.flag("entropy_coding_sync_enabled_flag")?;
        if tiles_enabled {
            pps.tiles = Some(TileGrid::parse(r)?);
        }
        pps.loop_filter_across_slices_enabled =
            r.flag("pps_loop_filter_across_slices_enabled_flag")?;
        if r.flag("deblocking_filter_control_present_flag")? {
            pps.deblocking_filter_override_enabled =
                r.flag("deblocking_filter_override_enabled_flag")?;
            pps.deblocking_filter_disabled = r.flag("pps_deblocking_filter_disabled_flag")?;
            if !pps.deblocking_filter_disabled {
                r.se("pps_beta_offset_div2")?;
                r.se("pps_tc_offset_div2")?;
            }
        }
        if r.flag("pps_scaling_list_data_present_flag")? {
            skip_scaling_list_data(r)?;
        }
        pps.lists_modification_present = r.flag("lists_modification_present_flag")?;
        pps.log2_parallel_merge_level = 2 + r.ue_max(4, "log2_parallel_merge_level_minus2")?;
        pps.slice_segment_header_extension_present =
            r.flag("slice_segment_header_extension_present_flag")?;
        pps.extensions(r)?;
        Ok(pps)
    }

    fn extensions(&mut self, r: &mut BitReader) -> Result<()> {
        if !r.flag("pps_extension_present_flag")? {
            return Ok(());
        }
        let present = r.u(8, "pps_extension_flags")?;
        if present & 0x80 != 0 {
            let range = &mut self.range;
            if self.transform_skip_enabled {
                range.log2_max_transform_skip_size =
                    2 + r.ue_max(3, "log2_max_transform_skip_block_size_minus2")?;
            }
            range.cross_component_prediction_enabled =
                r.flag("cross_component_prediction_enabled_flag")?;
            range.chroma_qp_offset_list_enabled = r.flag("chroma_qp_offset_list_enabled_flag")?;
            if range.chroma_qp_offset_list_enabled {
                range.diff_cu_chroma_qp_offset_depth =
                    r.ue_max(3, "diff_cu_chroma_qp_offset_depth")?;
                range.chroma_qp_offset_list_len_minus1 =
                    r.ue_max(5, "chroma_qp_offset_list_len_minus1")?;
                for _ in 0..=range.chroma_qp_offset_list_len_minus1 {
                    r.se("cb_qp_offset_list")?;
                    r.se("cr_qp_offset_list")?;
                }
            }
            r.ue("log2_sao_offset_scale_luma")?;
            r.ue("log2_sao_offset_scale_chroma")?;
        }
        Ok(())
    }
}
