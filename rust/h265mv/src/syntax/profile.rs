//! profile_tier_level() (clause 7.3.3): profile and level.

use bitstream::BitReader;

use bitstream::Result;

/// What is kept of profile_tier_level().
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    /// general_profile_idc.
    pub profile_idc: u32,
    /// general_level_idc.
    pub level_idc: u32,
    /// A screen content coding profile (clause A.3.7), or compatible with one.
    pub screen_content: bool,
}

/// Reads profile_tier_level(1, max_sub_layers_minus1).
pub(crate) fn profile_tier_level(r: &mut BitReader, max_sub_layers_minus1: u32) -> Result<Profile> {
    let head = r.u(8, "general_profile_idc")?;
    let compatible = r.u(32, "general_profile_compatibility_flag")?;
    r.u(32, "general_constraint_indicator_flags")?;
    r.u(16, "general_constraint_indicator_flags")?;
    let level_idc = r.u(8, "general_level_idc")?;
    let mut present = [(false, false); 7];
    for flags in present.iter_mut().take(max_sub_layers_minus1 as usize) {
        let profile = r.flag("sub_layer_profile_present_flag")?;
        *flags = (profile, r.flag("sub_layer_level_present_flag")?);
    }
    if max_sub_layers_minus1 > 0 {
        for _ in max_sub_layers_minus1..8 {
            r.u(2, "reserved_zero_2bits")?;
        }
    }
    for &(profile, level) in present.iter().take(max_sub_layers_minus1 as usize) {
        if profile {
            r.u(32, "sub_layer_profile_idc")?;
            r.u(32, "sub_layer_profile_idc")?;
            r.u(24, "sub_layer_profile_idc")?;
        }
        if level {
            r.u(8, "sub_layer_level_idc")?;
        }
    }
    let profile_idc = head & 31;
    let is = |idc: u32| profile_idc == idc || compatible >> (31 - idc) & 1 == 1;
    Ok(Profile {
        profile_idc,
        level_idc,
        screen_content: is(9) || is(11),
    })
}
