//! Reference picture commands of slice headers: ref_pic_list_modification() and dec_ref_pic_marking()
//! (clauses 7.3.3.1 and 7.3.3.3).

use bitstream::{BitReader, Malformed};

/// More commands than two fields of 16 frames can need.
const MAX_COMMANDS: usize = 66;

/// One command of ref_pic_list_modification().
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

/// Content of dec_ref_pic_marking().
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Marking {
    #[default]
    SlidingWindow,
    Adaptive(Vec<Mmco>),
    Idr {
        long_term_reference_flag: bool,
    },
}

/// Parses the commands of one list of ref_pic_list_modification().
pub(crate) fn parse_modifications(r: &mut BitReader) -> Result<Vec<Modification>, Malformed> {
    let mut modifications = Vec::new();
    loop {
        let idc = r.ue_max(3, "modification_of_pic_nums_idc")? as u8;
        if idc == 3 {
            return Ok(modifications);
        }
        if modifications.len() > MAX_COMMANDS {
            return Err(Malformed("ref_pic_list_modification"));
        }
        let value = r.ue("abs_diff_pic_num_minus1")?;
        modifications.push(Modification { idc, value });
    }
}

/// Parses dec_ref_pic_marking().
pub(crate) fn parse_marking(r: &mut BitReader, idr: bool) -> Result<Marking, Malformed> {
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
    while ops.len() <= MAX_COMMANDS {
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
    Err(Malformed("memory_management_control_operation"))
}
