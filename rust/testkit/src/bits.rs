//! Writer of RBSPs and NAL units, bit by bit, for streams that no available encoder produces.

/// Bits of an RBSP.
#[derive(Debug, Clone, Default)]
pub struct Bits(Vec<bool>);

impl Bits {
    pub fn u(mut self, count: u32, value: u32) -> Self {
        self.0.extend((0..count).rev().map(|i| value >> i & 1 == 1));
        self
    }

    pub fn flag(self, on: bool) -> Self {
        self.u(1, on as u32)
    }

    pub fn ue(self, value: u32) -> Self {
        let length = (value + 1).ilog2();
        self.u(length, 0).u(length + 1, value + 1)
    }

    pub fn ues(self, values: &[u32]) -> Self {
        values.iter().fold(self, |bits, &value| bits.ue(value))
    }

    pub fn se(self, value: i32) -> Self {
        let magnitude = value.unsigned_abs();
        self.ue(2 * magnitude - (value > 0) as u32)
    }

    pub fn extend(mut self, bits: &[bool]) -> Self {
        self.0.extend(bits);
        self
    }

    pub fn append(self, other: &Bits) -> Self {
        self.extend(&other.0)
    }

    /// Appends a one and zeros up to the next byte: rbsp_trailing_bits() or byte_alignment().
    pub fn align(mut self) -> Self {
        self.0.push(true);
        while !self.0.len().is_multiple_of(8) {
            self.0.push(false);
        }
        self
    }

    /// Appends rbsp_trailing_bits() and returns the bytes.
    pub fn rbsp(self) -> Vec<u8> {
        self.align().bytes()
    }

    /// The bytes; the last one is filled with zeros.
    pub fn bytes(self) -> Vec<u8> {
        let byte =
            |bits: &[bool]| (0..8).fold(0, |v, i| v << 1 | bits.get(i).map_or(0, |&b| b as u8));
        self.0.chunks(8).map(byte).collect()
    }
}

/// A NAL unit with header `head`: emulation prevention bytes are added to `rbsp`.
pub fn nal(head: &[u8], rbsp: &[u8]) -> Vec<u8> {
    let mut out = head.to_vec();
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}
