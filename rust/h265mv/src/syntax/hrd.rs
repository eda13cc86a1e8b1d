//! hrd_parameters() (clause E.2.2): read past.

use bitstream::BitReader;

use bitstream::Result;

/// Reads past hrd_parameters(1, max_sub_layers_minus1).
pub(crate) fn skip_hrd_parameters(r: &mut BitReader, max_sub_layers_minus1: u32) -> Result<()> {
    let nal = r.flag("nal_hrd_parameters_present_flag")?;
    let vcl = r.flag("vcl_hrd_parameters_present_flag")?;
    let mut sub_pic = false;
    if nal || vcl {
        sub_pic = r.flag("sub_pic_hrd_params_present_flag")?;
        if sub_pic {
            r.u(19, "tick_divisor_minus2")?;
        }
        r.u(8, "bit_rate_scale")?;
        if sub_pic {
            r.u(4, "cpb_size_du_scale")?;
        }
        r.u(15, "initial_cpb_removal_delay_length_minus1")?;
    }
    for _ in 0..=max_sub_layers_minus1 {
        let general = r.flag("fixed_pic_rate_general_flag")?;
        let within_cvs = general || r.flag("fixed_pic_rate_within_cvs_flag")?;
        let mut low_delay = false;
        if within_cvs {
            r.ue("elemental_duration_in_tc_minus1")?;
        } else {
            low_delay = r.flag("low_delay_hrd_flag")?;
        }
        let cpb_cnt_minus1 = if low_delay {
            0
        } else {
            r.ue_max(31, "cpb_cnt_minus1")?
        };
        for _ in 0..nal as u32 + vcl as u32 {
            for _ in 0..=cpb_cnt_minus1 {
                for _ in 0..if sub_pic { 4 } else { 2 } {
                    r.ue("bit_rate_value_minus1")?;
                }
                r.flag("cbr_flag")?;
            }
        }
    }
    Ok(())
}
