//! Sequence parameter sets (clause 7.3.2.2).

use bitstream::BitReader;

use super::profile::profile_tier_level;
use super::ref_pic_set::ShortTermRefPicSet;
use super::scaling_list::skip_scaling_list_data;
use super::vui::Vui;
use bitstream::{Error, Result};

/// Largest sides and area of a picture: those of level 6.3 (table A.8).
const MAX_LUMA_PS: u64 = 80_216_064;
const MAX_SIDE: u32 = 25_332;

/// PCM sample parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pcm {
    pub bit_depth_luma: u32,
    pub bit_depth_chroma: u32,
    pub log2_min_size: u32,
    pub log2_max_size: u32,
}

/// sps_range_extension() flags that change the syntax of slice data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SpsRangeExtension {
    pub transform_skip_context_enabled: bool,
    pub implicit_rdpcm_enabled: bool,
    pub explicit_rdpcm_enabled: bool,
    pub extended_precision_processing: bool,
    pub persistent_rice_adaptation_enabled: bool,
    pub cabac_bypass_alignment_enabled: bool,
}

/// A long-term reference picture of the sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LongTermPic {
    pub poc_lsb: u32,
    pub used_by_curr_pic: bool,
}

/// A sequence parameter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// sps_seq_parameter_set_id.
    pub seq_parameter_set_id: u32,
    /// general_profile_idc.
    pub profile_idc: u32,
    /// general_level_idc.
    pub level_idc: u32,
    /// chroma_format_idc.
    pub chroma_format_idc: u32,
    /// pic_width_in_luma_samples.
    pub width: u32,
    /// pic_height_in_luma_samples.
    pub height: u32,
    /// Conformance window in luma samples: left, right, top, bottom.
    pub conformance_window: [u32; 4],
    /// BitDepthY.
    pub bit_depth_luma: u32,
    /// sps_max_dec_pic_buffering_minus1 + 1 of the highest sub-layer.
    pub max_dec_pic_buffering: u32,
    /// sps_max_num_reorder_pics of the highest sub-layer.
    pub max_num_reorder_pics: u32,
    /// vui_parameters().
    pub vui: Vui,
    /// The coding tools of screen content coding may be used.
    pub(crate) screen_content: bool,
    pub(crate) separate_colour_plane: bool,
    pub(crate) bit_depth_chroma: u32,
    pub(crate) log2_max_poc_lsb: u32,
    pub(crate) log2_min_cb: u32,
    pub(crate) log2_ctb: u32,
    pub(crate) log2_min_tb: u32,
    pub(crate) log2_max_tb: u32,
    pub(crate) max_transform_hierarchy_depth_inter: u32,
    pub(crate) max_transform_hierarchy_depth_intra: u32,
    pub(crate) amp_enabled: bool,
    pub(crate) sao_enabled: bool,
    pub(crate) pcm: Option<Pcm>,
    pub(crate) short_term_sets: Vec<ShortTermRefPicSet>,
    pub(crate) long_term_ref_pics_present: bool,
    pub(crate) long_term_pics: Vec<LongTermPic>,
    pub(crate) temporal_mvp_enabled: bool,
    pub(crate) range: SpsRangeExtension,
}

impl Sps {
    /// Parses the RBSP behind the NAL unit header.
    pub fn parse(rbsp: &[u8]) -> Result<Self> {
        let r = &mut BitReader::new(rbsp);
        r.u(4, "sps_video_parameter_set_id")?;
        let max_sub_layers_minus1 = r.u(3, "sps_max_sub_layers_minus1")?;
        if max_sub_layers_minus1 > 6 {
            return Err(Error::malformed("sps_max_sub_layers_minus1"));
        }
        r.flag("sps_temporal_id_nesting_flag")?;
        let profile = profile_tier_level(r, max_sub_layers_minus1)?;
        let seq_parameter_set_id = r.ue_max(15, "sps_seq_parameter_set_id")?;
        let chroma_format_idc = r.ue_max(3, "chroma_format_idc")?;
        let separate_colour_plane =
            chroma_format_idc == 3 && r.flag("separate_colour_plane_flag")?;
        let width = r.ue("pic_width_in_luma_samples")?;
        let height = r.ue("pic_height_in_luma_samples")?;
        check_size(width, height)?;
        let conformance_window = conformance_window(r, chroma_format_idc)?;
        let bit_depth_luma = 8 + r.ue_max(8, "bit_depth_luma_minus8")?;
        let bit_depth_chroma = 8 + r.ue_max(8, "bit_depth_chroma_minus8")?;
        let log2_max_poc_lsb = 4 + r.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")?;
        let all = r.flag("sps_sub_layer_ordering_info_present_flag")?;
        let (mut max_dec_pic_buffering, mut max_num_reorder_pics) = (1, 0);
        for _ in if all { 0 } else { max_sub_layers_minus1 }..=max_sub_layers_minus1 {
            max_dec_pic_buffering = 1 + r.ue_max(15, "sps_max_dec_pic_buffering_minus1")?;
            max_num_reorder_pics = r.ue_max(15, "sps_max_num_reorder_pics")?;
            r.ue("sps_max_latency_increase_plus1")?;
        }
        let log2_min_cb = 3 + r.ue_max(3, "log2_min_luma_coding_block_size_minus3")?;
        let log2_ctb = log2_min_cb + r.ue_max(3, "log2_diff_max_min_luma_coding_block_size")?;
        let log2_min_tb = 2 + r.ue_max(3, "log2_min_luma_transform_block_size_minus2")?;
        let log2_max_tb =
            log2_min_tb + r.ue_max(3, "log2_diff_max_min_luma_transform_block_size")?;
        check_block_sizes(log2_min_cb, log2_ctb, log2_min_tb, log2_max_tb)?;
        if (width | height) & ((1 << log2_min_cb) - 1) != 0 {
            return Err(Error::malformed("pic_width_in_luma_samples"));
        }
        let deepest = log2_ctb - log2_min_tb;
        let max_transform_hierarchy_depth_inter =
            r.ue_max(deepest, "max_transform_hierarchy_depth_inter")?;
        let max_transform_hierarchy_depth_intra =
            r.ue_max(deepest, "max_transform_hierarchy_depth_intra")?;
        if r.flag("scaling_list_enabled_flag")? && r.flag("sps_scaling_list_data_present_flag")? {
            skip_scaling_list_data(r)?;
        }
        let amp_enabled = r.flag("amp_enabled_flag")?;
        let sao_enabled = r.flag("sample_adaptive_offset_enabled_flag")?;
        let pcm = match r.flag("pcm_enabled_flag")? {
            true => Some(Pcm::parse(r)?),
            false => None,
        };
        let mut short_term_sets = Vec::new();
        for index in 0..r.ue_max(64, "num_short_term_ref_pic_sets")? as usize {
            let set = ShortTermRefPicSet::parse(r, index, &short_term_sets, false)?;
            short_term_sets.push(set);
        }
        let long_term_ref_pics_present = r.flag("long_term_ref_pics_present_flag")?;
        let mut long_term_pics = Vec::new();
        if long_term_ref_pics_present {
            for _ in 0..r.ue_max(32, "num_long_term_ref_pics_sps")? {
                long_term_pics.push(LongTermPic {
                    poc_lsb: r.u(log2_max_poc_lsb, "lt_ref_pic_poc_lsb_sps")?,
                    used_by_curr_pic: r.flag("used_by_curr_pic_lt_sps_flag")?,
                });
            }
        }
        let temporal_mvp_enabled = r.flag("sps_temporal_mvp_enabled_flag")?;
        r.flag("strong_intra_smoothing_enabled_flag")?;
        let vui = match r.flag("vui_parameters_present_flag")? {
            true => Vui::parse(r, max_sub_layers_minus1)?,
            false => Vui::default(),
        };
        let (range, screen_content) = extensions(r)?;
        Ok(Sps {
            seq_parameter_set_id,
            profile_idc: profile.profile_idc,
            level_idc: profile.level_idc,
            // Other profiles leave the bits of later extensions to be ignored.
            screen_content: screen_content && profile.screen_content,
            chroma_format_idc,
            width,
            height,
            conformance_window,
            bit_depth_luma,
            max_dec_pic_buffering,
            max_num_reorder_pics,
            vui,
            separate_colour_plane,
            bit_depth_chroma,
            log2_max_poc_lsb,
            log2_min_cb,
            log2_ctb,
            log2_min_tb,
            log2_max_tb,
            max_transform_hierarchy_depth_inter,
            max_transform_hierarchy_depth_intra,
            amp_enabled,
            sao_enabled,
            pcm,
            short_term_sets,
            long_term_ref_pics_present,
            long_term_pics,
            temporal_mvp_enabled,
            range,
        })
    }

    /// Name of the profile (clause A.3); None for numbers that the standard does not list.
    pub fn profile(&self) -> Option<&'static str> {
        const NAMES: [&str; 11] = [
            "Main",
            "Main 10",
            "Main Still Picture",
            "Rext",
            "High Throughput",
            "Multiview Main",
            "Scalable Main",
            "3D Main",
            "Scc",
            "Scalable Rext",
            "High Throughput Scc",
        ];
        NAMES
            .get((self.profile_idc as usize).wrapping_sub(1))
            .copied()
    }

    /// For example "3.1" or "4": general_level_idc is 30 times the level.
    pub fn level(&self) -> String {
        let (level, tenth) = (self.level_idc / 30, self.level_idc % 30 / 3);
        match tenth {
            0 => level.to_string(),
            _ => format!("{level}.{tenth}"),
        }
    }

    /// The conformance window: left, top, width, height in luma samples; the whole picture where nothing
    /// would be left.
    pub fn conformance_rectangle(&self) -> (u32, u32, u32, u32) {
        let [left, right, top, bottom] = self.conformance_window;
        let width = self.width.saturating_sub(left.saturating_add(right));
        let height = self.height.saturating_sub(top.saturating_add(bottom));
        if width == 0 || height == 0 {
            return (0, 0, self.width, self.height);
        }
        (left, top, width, height)
    }

    /// ChromaArrayType.
    pub(crate) fn chroma_array_type(&self) -> u32 {
        if self.separate_colour_plane {
            0
        } else {
            self.chroma_format_idc
        }
    }

    /// PicWidthInCtbsY.
    pub(crate) fn width_in_ctbs(&self) -> usize {
        (self.width as usize).div_ceil(1 << self.log2_ctb)
    }

    /// PicHeightInCtbsY.
    pub(crate) fn height_in_ctbs(&self) -> usize {
        (self.height as usize).div_ceil(1 << self.log2_ctb)
    }

    /// PicSizeInCtbsY.
    pub(crate) fn size_in_ctbs(&self) -> usize {
        self.width_in_ctbs() * self.height_in_ctbs()
    }
}

fn check_size(width: u32, height: u32) -> Result<()> {
    for (what, side) in [
        ("pic_width_in_luma_samples", width),
        ("pic_height_in_luma_samples", height),
    ] {
        if side == 0 {
            return Err(Error::malformed(what));
        }
        if side > MAX_SIDE {
            return Err(Error::Limit {
                what,
                value: side as u64,
                limit: MAX_SIDE as u64,
            });
        }
    }
    let area = width as u64 * height as u64;
    if area > MAX_LUMA_PS {
        return Err(Error::Limit {
            what: "picture size in luma samples",
            value: area,
            limit: MAX_LUMA_PS,
        });
    }
    Ok(())
}

fn conformance_window(r: &mut BitReader, chroma_format_idc: u32) -> Result<[u32; 4]> {
    let mut window = [0; 4];
    if r.flag("conformance_window_flag")? {
        let sub_width = if matches!(chroma_format_idc, 1 | 2) {
            2
        } else {
            1
        };
        let sub_height = if chroma_format_idc == 1 { 2 } else { 1 };
        let units = [sub_width, sub_width, sub_height, sub_height];
        for (offset, unit) in window.iter_mut().zip(units) {
            *offset = unit * r.ue_max(MAX_SIDE, "conf_win_offset")?;
        }
    }
    Ok(window)
}

/// Constraints of clause 7.4.3.2.1 that keep all block arithmetic in range.
fn check_block_sizes(min_cb: u32, ctb: u32, min_tb: u32, max_tb: u32) -> Result<()> {
    if !(4..=6).contains(&ctb) {
        return Err(Error::malformed("log2_diff_max_min_luma_coding_block_size"));
    }
    if min_tb >= min_cb || max_tb > 5 || max_tb > ctb {
        return Err(Error::malformed(
            "log2_min_luma_transform_block_size_minus2",
        ));
    }
    Ok(())
}

impl Pcm {
    fn parse(r: &mut BitReader) -> Result<Self> {
        let bit_depth_luma = 1 + r.u(4, "pcm_sample_bit_depth_luma_minus1")?;
        let bit_depth_chroma = 1 + r.u(4, "pcm_sample_bit_depth_chroma_minus1")?;
        let log2_min_size = 3 + r.ue_max(2, "log2_min_pcm_luma_coding_block_size_minus3")?;
        let most = 5 - log2_min_size;
        let log2_max_size =
            log2_min_size + r.ue_max(most, "log2_diff_max_min_pcm_luma_coding_block_size")?;
        r.flag("pcm_loop_filter_disabled_flag")?;
        Ok(Pcm {
            bit_depth_luma,
            bit_depth_chroma,
            log2_min_size,
            log2_max_size,
        })
    }
}

/// sps_range_extension(), and sps_scc_extension_flag.
fn extensions(r: &mut BitReader) -> Result<(SpsRangeExtension, bool)> {
    let mut range = SpsRangeExtension::default();
    if !r.flag("sps_extension_present_flag")? {
        return Ok((range, false));
    }
    let present = r.u(8, "sps_extension_flags")?;
    if present & 0x80 != 0 {
        r.flag("transform_skip_rotation_enabled_flag")?;
        range.transform_skip_context_enabled = r.flag("transform_skip_context_enabled_flag")?;
        range.implicit_rdpcm_enabled = r.flag("implicit_rdpcm_enabled_flag")?;
        range.explicit_rdpcm_enabled = r.flag("explicit_rdpcm_enabled_flag")?;
        range.extended_precision_processing = r.flag("extended_precision_processing_flag")?;
        r.flag("intra_smoothing_disabled_flag")?;
        r.flag("high_precision_offsets_enabled_flag")?;
        range.persistent_rice_adaptation_enabled =
            r.flag("persistent_rice_adaptation_enabled_flag")?;
        range.cabac_bypass_alignment_enabled = r.flag("cabac_bypass_alignment_enabled_flag")?;
    }
    Ok((range, present & 0x10 != 0))
}
