//! NAL unit headers (clause 7.3.1.2) and the configuration record of containers (hvcC).

use bitstream::{Error, Result};

/// nal_unit_type values (table 7-1).
pub mod unit {
    #![allow(missing_docs)]
    pub const RADL_N: u8 = 6;
    pub const RADL_R: u8 = 7;
    pub const RASL_N: u8 = 8;
    pub const RASL_R: u8 = 9;
    pub const LAST_SUB_LAYER_NON_REFERENCE: u8 = 14;
    pub const BLA_W_LP: u8 = 16;
    pub const BLA_N_LP: u8 = 18;
    pub const IDR_W_RADL: u8 = 19;
    pub const IDR_N_LP: u8 = 20;
    pub const CRA: u8 = 21;
    pub const LAST_RESERVED_IRAP: u8 = 23;
    pub const LAST_VCL: u8 = 31;
    pub const VPS: u8 = 32;
    pub const SPS: u8 = 33;
    pub const PPS: u8 = 34;
    pub const ACCESS_UNIT_DELIMITER: u8 = 35;
    pub const END_OF_SEQUENCE: u8 = 36;
    pub const END_OF_BITSTREAM: u8 = 37;
}

/// nal_unit_header().
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NalHeader {
    /// nal_unit_type.
    pub nal_unit_type: u8,
    /// nuh_layer_id.
    pub nuh_layer_id: u8,
    /// TemporalId.
    pub temporal_id: u8,
}

impl NalHeader {
    /// Bytes of the header.
    pub const SIZE: usize = 2;

    /// Parses the first two bytes of a NAL unit.
    pub fn parse(nal: &[u8]) -> Result<Self> {
        let &[first, second, ..] = nal else {
            return Err(Error::malformed("nal_unit_header"));
        };
        if first & 0x80 != 0 {
            return Err(Error::malformed("forbidden_zero_bit"));
        }
        let plus1 = second & 7;
        if plus1 == 0 {
            return Err(Error::malformed("nuh_temporal_id_plus1"));
        }
        Ok(NalHeader {
            nal_unit_type: first >> 1 & 0x3f,
            nuh_layer_id: (first & 1) << 5 | second >> 3,
            temporal_id: plus1 - 1,
        })
    }

    /// Whether the unit is a slice segment of a type that the standard defines.
    pub fn is_slice(self) -> bool {
        self.nal_unit_type <= unit::RASL_R
            || (unit::BLA_W_LP..=unit::CRA).contains(&self.nal_unit_type)
    }

    /// Intra random access point picture.
    pub fn is_irap(self) -> bool {
        (unit::BLA_W_LP..=unit::LAST_RESERVED_IRAP).contains(&self.nal_unit_type)
    }

    /// Instantaneous decoding refresh picture.
    pub fn is_idr(self) -> bool {
        matches!(self.nal_unit_type, unit::IDR_W_RADL | unit::IDR_N_LP)
    }

    /// Broken link access picture.
    pub fn is_bla(self) -> bool {
        (unit::BLA_W_LP..=unit::BLA_N_LP).contains(&self.nal_unit_type)
    }

    /// Random access skipped leading picture.
    pub fn is_rasl(self) -> bool {
        matches!(self.nal_unit_type, unit::RASL_N | unit::RASL_R)
    }

    /// Random access decodable leading picture.
    pub fn is_radl(self) -> bool {
        matches!(self.nal_unit_type, unit::RADL_N | unit::RADL_R)
    }

    /// Sub-layer non-reference picture.
    pub fn is_sub_layer_non_reference(self) -> bool {
        self.nal_unit_type <= unit::LAST_SUB_LAYER_NON_REFERENCE && self.nal_unit_type & 1 == 0
    }
}

/// Whether bytes may be a NAL unit, judged by the header.
pub fn is_plausible(nal: &[u8]) -> bool {
    NalHeader::parse(nal).is_ok_and(|h| h.nal_unit_type <= 40 || h.nal_unit_type >= 48)
}

/// An HEVCDecoderConfigurationRecord (hvcC, ISO/IEC 14496-15 clause 8.3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HevcConfig {
    /// Bytes of each NALUnitLength.
    pub length_size: usize,
    /// Parameter sets and SEI messages as NAL units.
    pub units: Vec<Vec<u8>>,
}

impl HevcConfig {
    /// Whether extradata is a record and not a byte stream. configurationVersion is 1, or 0 in early files.
    pub fn is_record(data: &[u8]) -> bool {
        data.len() >= 23 && (data[0] == 1 || data[0] == 0 && !matches!(data, [0, 0, 1 | 0, ..]))
    }

    /// Parses the payload of an hvcC box.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let bad = || Error::malformed("HEVCDecoderConfigurationRecord");
        if data.len() < 23 || data[0] > 1 {
            return Err(bad());
        }
        let mut config = HevcConfig {
            length_size: (data[21] & 3) as usize + 1,
            units: Vec::new(),
        };
        let u16_at = |at: usize| match data.get(at..at + 2) {
            Some(two) => Ok((two[0] as usize) << 8 | two[1] as usize),
            None => Err(bad()),
        };
        let mut at = 23;
        for _ in 0..data[22] {
            let count = u16_at(at + 1)?;
            at += 3;
            for _ in 0..count {
                let size = u16_at(at)?;
                let unit = data.get(at + 2..at + 2 + size).ok_or_else(bad)?;
                config.units.push(unit.to_vec());
                at += 2 + size;
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header = NalHeader::parse(&[0x42, 0x01]).unwrap();
        assert_eq!(header.nal_unit_type, unit::SPS);
        assert_eq!((header.nuh_layer_id, header.temporal_id), (0, 0));
        assert!(NalHeader::parse(&[0x26, 0x01]).unwrap().is_idr());
        assert!(NalHeader::parse(&[0xc2, 0x01]).is_err());
        assert!(NalHeader::parse(&[0x42, 0x00]).is_err());
        assert!(NalHeader::parse(&[0x42]).is_err());
    }

    #[test]
    fn configuration_record() {
        let mut data = vec![1];
        data.resize(21, 0);
        data.extend([0xfc | 3, 1, 0x20, 0, 1, 0, 3, 0x40, 1, 9]);
        let config = HevcConfig::parse(&data).unwrap();
        assert_eq!(config.length_size, 4);
        assert_eq!(config.units, [vec![0x40, 1, 9]]);
        for cut in 0..data.len() {
            assert!(HevcConfig::parse(&data[..cut]).is_err(), "cut at {cut}");
        }
    }
}
