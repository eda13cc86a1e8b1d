//! Video usability information of sequence parameter sets (annex E).

use bitstream::{sample_aspect_ratio, BitReader, Malformed};

/// VUI fields on sample shape, timing and reordering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Vui {
    /// Sample aspect ratio, width to height; None where it is not specified.
    pub sar: Option<(u16, u16)>,
    /// num_units_in_tick, time_scale, fixed_frame_rate_flag.
    pub timing: Option<(u32, u32, bool)>,
    /// max_num_reorder_frames, max_dec_frame_buffering.
    pub bitstream_restriction: Option<(u32, u32)>,
}

impl Vui {
    /// Parses vui_parameters(); on an error, the fields read before it are kept.
    pub(crate) fn parse(&mut self, r: &mut BitReader) -> Result<(), Malformed> {
        if r.flag("aspect_ratio_info_present_flag")? {
            self.sar = sample_aspect_ratio(r)?;
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
        if r.flag("timing_info_present_flag")? {
            let ticks = r.u(32, "num_units_in_tick")?;
            let scale = r.u(32, "time_scale")?;
            self.timing = Some((ticks, scale, r.flag("fixed_frame_rate_flag")?));
        }
        let nal_hrd = r.flag("nal_hrd_parameters_present_flag")?;
        if nal_hrd {
            skip_hrd(r)?;
        }
        let vcl_hrd = r.flag("vcl_hrd_parameters_present_flag")?;
        if vcl_hrd {
            skip_hrd(r)?;
        }
        if nal_hrd || vcl_hrd {
            r.flag("low_delay_hrd_flag")?;
        }
        r.flag("pic_struct_present_flag")?;
        if r.flag("bitstream_restriction_flag")? {
            r.flag("motion_vectors_over_pic_boundaries_flag")?;
            for _ in 0..4 {
                r.ue("max_bytes_per_pic_denom")?;
            }
            let reorder = r.ue("max_num_reorder_frames")?;
            let buffering = r.ue("max_dec_frame_buffering")?;
            self.bitstream_restriction = Some((reorder, buffering));
        }
        Ok(())
    }
}

fn skip_hrd(r: &mut BitReader) -> Result<(), Malformed> {
    let count = r.ue_max(31, "cpb_cnt_minus1")? + 1;
    r.u(8, "bit_rate_scale")?;
    for _ in 0..count {
        r.ue("bit_rate_value_minus1")?;
        r.ue("cpb_size_value_minus1")?;
        r.flag("cbr_flag")?;
    }
    r.u(20, "initial_cpb_removal_delay_length_minus1")?;
    Ok(())
}
