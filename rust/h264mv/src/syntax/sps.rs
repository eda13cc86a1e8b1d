//! Sequence parameter sets (clause 7.3.2.1.1).

use bitstream::{BitReader, Malformed};

use crate::syntax::vui::Vui;
use bitstream::{Error, Result};

/// Profiles whose SPS carries chroma_format_idc and the fields after it.
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// MaxFS of level 6.2 (table A-1): no picture has more macroblocks.
const MAX_FRAME_MBS: u64 = 139_264;

/// No decoded picture buffer holds more frames (clause A.3.1).
const MAX_DPB_FRAMES: u32 = 16;

/// Sequence parameter set; of the elements that only reconstruction needs, none is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sps {
    pub profile_idc: u8,
    pub constraint_flags: u8,
    pub level_idc: u8,
    pub seq_parameter_set_id: u8,
    pub chroma_format_idc: u8,
    pub separate_colour_plane_flag: bool,
    pub bit_depth_luma: u8,
    pub bit_depth_chroma: u8,
    pub qpprime_y_zero_transform_bypass_flag: bool,
    pub log2_max_frame_num: u8,
    pub pic_order_cnt_type: u8,
    pub log2_max_pic_order_cnt_lsb: u8,
    pub delta_pic_order_always_zero_flag: bool,
    pub offset_for_non_ref_pic: i32,
    pub offset_for_top_to_bottom_field: i32,
    pub offset_for_ref_frame: Vec<i32>,
    pub max_num_ref_frames: u8,
    pub gaps_in_frame_num_value_allowed_flag: bool,
    pub pic_width_in_mbs: u32,
    pub pic_height_in_map_units: u32,
    pub frame_mbs_only_flag: bool,
    pub mb_adaptive_frame_field_flag: bool,
    pub direct_8x8_inference_flag: bool,
    /// frame_crop_left, right, top and bottom offsets, in crop units.
    pub frame_crop: [u32; 4],
    pub vui: Vui,
}

impl Sps {
    /// Parses an SPS from its RBSP (after the NAL header).
    pub fn parse(rbsp: &[u8]) -> Result<Self> {
        let r = &mut BitReader::new(rbsp);
        let profile_idc = r.u(8, "profile_idc")?;
        let constraint_flags = r.u(8, "constraint_set_flags")? as u8;
        let level_idc = r.u(8, "level_idc")? as u8;
        let seq_parameter_set_id = r.ue_max(31, "seq_parameter_set_id")? as u8;
        let mut sps = Sps {
            profile_idc: profile_idc as u8,
            constraint_flags,
            level_idc,
            seq_parameter_set_id,
            // Inferred if not present.
            chroma_format_idc: 1,
            bit_depth_luma: 8,
            bit_depth_chroma: 8,
            ..Sps::default()
        };
        if HIGH_PROFILES.contains(&profile_idc) {
            sps.parse_high(r)?;
        }
        sps.parse_counts(r)?;
        sps.parse_size(r)?;
        if r.flag("vui_parameters_present_flag")? {
            // Macroblock parsing does not depend on the VUI: a damaged one is no error.
            let _ = sps.vui.parse(r);
        }
        Ok(sps)
    }

    fn parse_high(&mut self, r: &mut BitReader) -> Result<(), Malformed> {
        self.chroma_format_idc = r.ue_max(3, "chroma_format_idc")? as u8;
        if self.chroma_format_idc == 3 {
            self.separate_colour_plane_flag = r.flag("separate_colour_plane_flag")?;
        }
        self.bit_depth_luma = 8 + r.ue_max(6, "bit_depth_luma_minus8")? as u8;
        self.bit_depth_chroma = 8 + r.ue_max(6, "bit_depth_chroma_minus8")? as u8;
        self.qpprime_y_zero_transform_bypass_flag =
            r.flag("qpprime_y_zero_transform_bypass_flag")?;
        if r.flag("seq_scaling_matrix_present_flag")? {
            let lists = if self.chroma_format_idc == 3 { 12 } else { 8 };
            for i in 0..lists {
                if r.flag("seq_scaling_list_present_flag")? {
                    skip_scaling_list(r, if i < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(())
    }

    fn parse_counts(&mut self, r: &mut BitReader) -> Result<(), Malformed> {
        self.log2_max_frame_num = 4 + r.ue_max(12, "log2_max_frame_num_minus4")? as u8;
        self.pic_order_cnt_type = r.ue_max(2, "pic_order_cnt_type")? as u8;
        if self.pic_order_cnt_type == 0 {
            self.log2_max_pic_order_cnt_lsb =
                4 + r.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")? as u8;
        } else if self.pic_order_cnt_type == 1 {
            self.delta_pic_order_always_zero_flag = r.flag("delta_pic_order_always_zero_flag")?;
            self.offset_for_non_ref_pic = r.se("offset_for_non_ref_pic")?;
            self.offset_for_top_to_bottom_field = r.se("offset_for_top_to_bottom_field")?;
            let cycle = r.ue_max(255, "num_ref_frames_in_pic_order_cnt_cycle")?;
            for _ in 0..cycle {
                let offset = r.se("offset_for_ref_frame")?;
                self.offset_for_ref_frame.push(offset);
            }
        }
        self.max_num_ref_frames = r.ue_max(16, "max_num_ref_frames")? as u8;
        self.gaps_in_frame_num_value_allowed_flag =
            r.flag("gaps_in_frame_num_value_allowed_flag")?;
        Ok(())
    }

    fn parse_size(&mut self, r: &mut BitReader) -> Result<()> {
        let width = r.ue("pic_width_in_mbs_minus1")? as u64 + 1;
        let height = r.ue("pic_height_in_map_units_minus1")? as u64 + 1;
        self.frame_mbs_only_flag = r.flag("frame_mbs_only_flag")?;
        let frame_height = height * (2 - self.frame_mbs_only_flag as u64);
        let frame_mbs = width.saturating_mul(frame_height);
        if frame_mbs > MAX_FRAME_MBS {
            return Err(Error::Limit {
                what: "macroblocks in a frame",
                value: frame_mbs,
                limit: MAX_FRAME_MBS,
            });
        }
        self.pic_width_in_mbs = width as u32;
        self.pic_height_in_map_units = height as u32;
        if !self.frame_mbs_only_flag {
            self.mb_adaptive_frame_field_flag = r.flag("mb_adaptive_frame_field_flag")?;
        }
        self.direct_8x8_inference_flag = r.flag("direct_8x8_inference_flag")?;
        if r.flag("frame_cropping_flag")? {
            for offset in &mut self.frame_crop {
                *offset = r.ue("frame_crop_offset")?;
            }
        }
        Ok(())
    }

    /// Whether pictures of the other set may refer to pictures of this one: the sets differ at most in
    /// their id, cropping and VUI.
    pub(crate) fn is_compatible(&self, other: &Sps) -> bool {
        let coding = |sps: &Sps| Sps {
            vui: Vui::default(),
            frame_crop: [0; 4],
            seq_parameter_set_id: 0,
            ..sps.clone()
        };
        coding(self) == coding(other)
    }

    /// ChromaArrayType (clause 7.4.2.1.1).
    pub fn chroma_array_type(&self) -> u8 {
        if self.separate_colour_plane_flag {
            0
        } else {
            self.chroma_format_idc
        }
    }

    /// FrameHeightInMbs.
    pub fn frame_height_in_mbs(&self) -> u32 {
        self.pic_height_in_map_units * (2 - self.frame_mbs_only_flag as u32)
    }

    /// Frames that may precede a frame in decoding order and follow it in output order: max_num_reorder_frames
    /// where it is coded, else the value that is inferred (clause E.2.1), except that
    /// pic_order_cnt_type 2 implies output in decoding order (clause 8.2.1.3).
    pub fn max_reorder_frames(&self) -> u32 {
        const CONSTRAINT_SET3: u8 = 0x10;
        let is_intra = matches!(self.profile_idc, 44 | 86 | 100 | 110 | 122 | 244)
            && self.constraint_flags & CONSTRAINT_SET3 != 0;
        match self.vui.bitstream_restriction {
            _ if self.pic_order_cnt_type == 2 => 0,
            Some((reorder, _)) => reorder.min(MAX_DPB_FRAMES),
            None if is_intra => 0,
            None => self.max_dpb_frames(),
        }
    }

    /// MaxDpbFrames (clause A.3.1, table A-1).
    fn max_dpb_frames(&self) -> u32 {
        const CONSTRAINT_SET3: u8 = 0x10;
        let is_level_1b = self.level_idc == 11
            && self.constraint_flags & CONSTRAINT_SET3 != 0
            && matches!(self.profile_idc, 66 | 77 | 88);
        let max_dpb_mbs = match self.level_idc {
            11 if is_level_1b => 396,
            9 | 10 => 396,
            11 => 900,
            12 | 13 | 20 => 2376,
            21 => 4752,
            22 | 30 => 8100,
            31 => 18_000,
            32 => 20_480,
            40 | 41 => 32_768,
            42 => 34_816,
            50 => 110_400,
            51 | 52 => 184_320,
            _ => return MAX_DPB_FRAMES,
        };
        let frame_mbs = self.pic_width_in_mbs * self.frame_height_in_mbs();
        // A stream may exceed its level; as many frames as it refers to are stored anyway.
        let frames = max_dpb_mbs / frame_mbs.max(1);
        frames
            .max(self.max_num_ref_frames as u32)
            .min(MAX_DPB_FRAMES)
    }

    /// The cropped frame in luma samples: left, top, width, height. Cropping that leaves no sample is
    /// damage and is ignored.
    pub fn crop_rectangle(&self) -> [u32; 4] {
        let (unit_w, sub_h) = match self.chroma_array_type() {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let unit_h = sub_h * (2 - self.frame_mbs_only_flag as u32);
        let (width, height) = (self.pic_width_in_mbs * 16, self.frame_height_in_mbs() * 16);
        let [left, right, top, bottom] = self.frame_crop;
        let crop = |size: u32, before: u32, after: u32, unit: u32| {
            let before = before.saturating_mul(unit);
            let rest = size.checked_sub(before.saturating_add(after.saturating_mul(unit)));
            rest.filter(|&n| n > 0).map(|n| (before, n))
        };
        let columns = crop(width, left, right, unit_w);
        match (columns, crop(height, top, bottom, unit_h)) {
            (Some((x, w)), Some((y, h))) => [x, y, w, h],
            _ => [0, 0, width, height],
        }
    }
}

/// Skips scaling_list().
fn skip_scaling_list(r: &mut BitReader, size: u32) -> Result<(), Malformed> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(r.se("delta_scale")?) & 0xff;
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unusual_byte_groupings)]
mod tests {
    use super::*;

    /// profile 66, level 1, frame_num of 4 bits, POC type 2, 1 reference, 2x1 macroblocks.
    const BASELINE: [u8; 8] = [
        66,
        0,
        10,
        0b1_1_011_010,
        0b0_010_1_1_1_0,
        0b0_1_000000,
        0,
        0,
    ];

    #[test]
    fn small_baseline_sps() {
        let sps = Sps::parse(&BASELINE[..6]).unwrap();
        assert_eq!((sps.pic_width_in_mbs, sps.frame_height_in_mbs()), (2, 1));
        assert_eq!(sps.pic_order_cnt_type, 2);
        assert_eq!(sps.max_num_ref_frames, 1);
        assert_eq!(sps.crop_rectangle(), [0, 0, 32, 16]);
        assert_eq!(sps.max_reorder_frames(), 0);
    }

    #[test]
    fn reordering_is_bounded() {
        let mut sps = Sps {
            profile_idc: 100,
            level_idc: 40,
            pic_width_in_mbs: 120,
            pic_height_in_map_units: 68,
            frame_mbs_only_flag: true,
            ..Sps::default()
        };
        assert_eq!(sps.max_reorder_frames(), 4);
        sps.level_idc = 99;
        assert_eq!(sps.max_reorder_frames(), 16);
        sps.vui.bitstream_restriction = Some((2, 4));
        assert_eq!(sps.max_reorder_frames(), 2);
        sps.vui.bitstream_restriction = None;
        sps.constraint_flags = 0x10;
        assert_eq!(sps.max_reorder_frames(), 0);
    }

    #[test]
    fn every_truncation_is_an_error() {
        for n in 0..5 {
            assert!(Sps::parse(&BASELINE[..n]).is_err(), "{n} bytes");
        }
    }
}
