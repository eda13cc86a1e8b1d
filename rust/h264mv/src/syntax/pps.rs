//! Picture parameter sets (clause 7.3.2.2).

use bitstream::{BitReader, Malformed};

/// Picture parameter set up to transform_8x8_mode_flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Pps {
    pub pic_parameter_set_id: u8,
    pub seq_parameter_set_id: u8,
    pub entropy_coding_mode_flag: bool,
    pub bottom_field_pic_order_in_frame_present_flag: bool,
    /// num_slice_groups_minus1 is not 0 (FMO); the rest of the set is then not read.
    pub slice_groups: bool,
    pub num_ref_idx_default_active: [u8; 2],
    pub weighted_pred_flag: bool,
    pub weighted_bipred_idc: u8,
    pub pic_init_qp: i32,
    pub constrained_intra_pred_flag: bool,
    pub deblocking_filter_control_present_flag: bool,
    pub redundant_pic_cnt_present_flag: bool,
    pub transform_8x8_mode_flag: bool,
}

impl Pps {
    /// Parses a PPS from its RBSP (after the NAL header).
    ///
    /// The elements after transform_8x8_mode_flag serve reconstruction only and are not read, so a
    /// PPS can be parsed before its SPS is known.
    pub fn parse(rbsp: &[u8]) -> Result<Self, Malformed> {
        let r = &mut BitReader::new(rbsp);
        let mut pps = Pps {
            pic_parameter_set_id: r.ue_max(255, "pic_parameter_set_id")? as u8,
            seq_parameter_set_id: r.ue_max(31, "seq_parameter_set_id")? as u8,
            entropy_coding_mode_flag: r.flag("entropy_coding_mode_flag")?,
            bottom_field_pic_order_in_frame_present_flag: r
                .flag("bottom_field_pic_order_in_frame_present_flag")?,
            ..Pps::default()
        };
        if r.ue_max(7, "num_slice_groups_minus1")? > 0 {
            pps.slice_groups = true;
            return Ok(pps);
        }
        for active in &mut pps.num_ref_idx_default_active {
            *active = 1 + r.ue_max(31, "num_ref_idx_default_active_minus1")? as u8;
        }
        pps.weighted_pred_flag = r.flag("weighted_pred_flag")?;
        pps.weighted_bipred_idc = r.u(2, "weighted_bipred_idc")? as u8;
        pps.pic_init_qp = r.se("pic_init_qp_minus26")?.saturating_add(26);
        r.se("pic_init_qs_minus26")?;
        r.se("chroma_qp_index_offset")?;
        pps.deblocking_filter_control_present_flag =
            r.flag("deblocking_filter_control_present_flag")?;
        pps.constrained_intra_pred_flag = r.flag("constrained_intra_pred_flag")?;
        pps.redundant_pic_cnt_present_flag = r.flag("redundant_pic_cnt_present_flag")?;
        if r.more_rbsp_data() {
            pps.transform_8x8_mode_flag = r.flag("transform_8x8_mode_flag")?;
        }
        Ok(pps)
    }
}

#[cfg(test)]
#[allow(clippy::unusual_byte_groupings)]
mod tests {
    use super::*;

    #[test]
    fn small_pps() {
        // Ids 0 and 0, CAVLC, no bottom field POC, one slice group, 1 and 1 references, no weights,
        // QP 26, QS 26, offset 0, flags 100, stop bit.
        let pps = Pps::parse(&[0b1_1_0_0_1_1_1_0, 0b00_1_1_1_100, 0b1000_0000]).unwrap();
        assert!(pps.deblocking_filter_control_present_flag);
        assert!(!pps.entropy_coding_mode_flag && !pps.transform_8x8_mode_flag);
        assert_eq!(pps.num_ref_idx_default_active, [1, 1]);
        assert!(Pps::parse(&[0b1100_1110]).is_err());
    }
}
