//! vui_parameters() (clause E.2.1).

use bitstream::{sample_aspect_ratio, BitReader};

use super::hrd::skip_hrd_parameters;
use bitstream::Result;

/// What is kept of vui_parameters().
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vui {
    /// Sample aspect ratio (width, height), where it is specified.
    pub sar: Option<(u16, u16)>,
    /// field_seq_flag: pictures are fields.
    pub field_seq_flag: bool,
    /// vui_num_units_in_tick and vui_time_scale.
    pub timing: Option<(u32, u32)>,
}

impl Vui {
    pub(crate) fn parse(r: &mut BitReader, max_sub_layers_minus1: u32) -> Result<Self> {
        let mut vui = Vui::default();
        if r.flag("aspect_ratio_info_present_flag")? {
            vui.sar = sample_aspect_ratio(r)?;
        }
        if r.flag("overscan_info_present_flag")? {
            r.flag("overscan_appropriate_flag")?;
        }
        if r.flag("video_signal_type_present_flag")? {
            r.u(4, "video_format")?;
            if r.flag("colour_description_present_flag")? {
                r.u(24, "colour_primaries")?;
            }
        }
        if r.flag("chroma_loc_info_present_flag")? {
            r.ue("chroma_sample_loc_type_top_field")?;
            r.ue("chroma_sample_loc_type_bottom_field")?;
        }
        r.flag("neutral_chroma_indication_flag")?;
        vui.field_seq_flag = r.flag("field_seq_flag")?;
        r.flag("frame_field_info_present_flag")?;
        let mut again = r.clone();
        if vui
            .parse_display_window(r, max_sub_layers_minus1, true)
            .is_err()
        {
            // Early encoders wrote no default_display_window_flag.
            vui.timing = None;
            vui.parse_display_window(&mut again, max_sub_layers_minus1, false)?;
            *r = again;
        }
        Ok(vui)
    }

    /// default_display_window_flag, where it is written, to the end.
    fn parse_display_window(
        &mut self,
        r: &mut BitReader,
        max_sub_layers_minus1: u32,
        has_flag: bool,
    ) -> Result<()> {
        // Timing of 1 tick without the flag: as a window, its offsets would be beyond any picture.
        const TIMING: u64 = 0x10_0000;
        let has_flag = has_flag && r.window() >> 43 != TIMING;
        if has_flag && r.flag("default_display_window_flag")? {
            for _ in 0..4 {
                r.ue("def_disp_win_offset")?;
            }
        }
        if r.flag("vui_timing_info_present_flag")? {
            let tick = r.u(32, "vui_num_units_in_tick")?;
            self.timing = Some((tick, r.u(32, "vui_time_scale")?));
            if r.flag("vui_poc_proportional_to_timing_flag")? {
                r.ue("vui_num_ticks_poc_diff_one_minus1")?;
            }
            if r.flag("vui_hrd_parameters_present_flag")? {
                skip_hrd_parameters(r, max_sub_layers_minus1)?;
            }
        }
        if r.flag("bitstream_restriction_flag")? {
            r.u(3, "tiles_fixed_structure_flag")?;
            for element in [
                "min_spatial_segmentation_idc",
                "max_bytes_per_pic_denom",
                "max_bits_per_min_cu_denom",
                "log2_max_mv_length_horizontal",
                "log2_max_mv_length_vertical",
            ] {
                r.ue(element)?;
            }
        }
        Ok(())
    }
}
