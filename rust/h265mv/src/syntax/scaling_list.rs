//! scaling_list_data() (clause 7.3.4): read past; the values scale samples only.

use bitstream::BitReader;

use bitstream::Result;

/// Reads past scaling_list_data().
pub(crate) fn skip_scaling_list_data(r: &mut BitReader) -> Result<()> {
    for size_id in 0..4u32 {
        let step = if size_id == 3 { 3 } else { 1 };
        for _ in (0..6).step_by(step) {
            if !r.flag("scaling_list_pred_mode_flag")? {
                r.ue_max(5, "scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            if size_id > 1 {
                r.se("scaling_list_dc_coef_minus8")?;
            }
            for _ in 0..64.min(1 << (4 + 2 * size_id)) {
                r.se("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}
