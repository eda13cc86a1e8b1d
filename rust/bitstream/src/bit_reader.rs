//! Reading of bits and Exp-Golomb codes (clauses 7.2 and 9.1).

use crate::Malformed;

/// Reads an RBSP from which emulation prevention bytes are already removed.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    data: &'a [u8],
    pos: usize,
    end: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit of `data`; the rbsp_stop_one_bit is the end.
    #[inline]
    pub fn new(data: &'a [u8]) -> Self {
        let end = match data.iter().rposition(|&b| b != 0) {
            Some(last) => last * 8 + 7 - data[last].trailing_zeros() as usize,
            None => 0,
        };
        BitReader { data, pos: 0, end }
    }

    /// Moves to bit `pos`.
    #[inline]
    pub fn at(mut self, pos: usize) -> Self {
        self.pos = pos;
        self
    }

    /// Position in bits.
    #[inline]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Whether the reader went past the last bit before rbsp_trailing_bits().
    #[inline]
    pub fn overrun(&self) -> bool {
        self.pos > self.end
    }

    /// more_rbsp_data(): whether there are bits before rbsp_trailing_bits().
    #[inline]
    pub fn more_rbsp_data(&self) -> bool {
        self.pos < self.end
    }

    /// The next bits (at least 57) at the top of a word; zeros beyond the end of the data.
    #[inline(always)]
    pub fn window(&self) -> u64 {
        let byte = self.pos >> 3;
        let word = match self.data.get(byte..).and_then(|s| s.first_chunk::<8>()) {
            Some(chunk) => u64::from_be_bytes(*chunk),
            None => self.tail(byte),
        };
        word << (self.pos & 7)
    }

    #[cold]
    fn tail(&self, byte: usize) -> u64 {
        let mut chunk = [0u8; 8];
        if let Some(rest) = self.data.get(byte..) {
            chunk[..rest.len()].copy_from_slice(rest);
        }
        u64::from_be_bytes(chunk)
    }

    /// Skips `count` bits.
    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.pos += count as usize;
    }

    /// u(n), n from 1 to 32, without a check: zeros beyond the end. Callers check `overrun` later.
    #[inline(always)]
    pub fn get(&mut self, count: u32) -> u32 {
        let value = (self.window() >> (64 - count)) as u32;
        self.skip(count);
        value
    }

    /// ue(v) without a check: saturates at `u32::MAX`.
    #[inline(always)]
    pub fn get_ue(&mut self) -> u32 {
        let window = self.window();
        let zeros = window.leading_zeros();
        if zeros <= 24 {
            self.skip(2 * zeros + 1);
            return (window >> (63 - 2 * zeros)) as u32 - 1;
        }
        self.long_ue(zeros)
    }

    #[cold]
    fn long_ue(&mut self, zeros: u32) -> u32 {
        if zeros >= 32 {
            self.skip(64);
            return u32::MAX;
        }
        self.skip(zeros);
        let value = (self.window() >> (63 - zeros)) as u32;
        self.skip(zeros + 1);
        value - 1
    }

    /// se(v) without a check, from [`Self::get_ue`].
    #[inline(always)]
    pub fn get_se(&mut self) -> i32 {
        let code = self.get_ue();
        let half = ((code >> 1) + (code & 1)).min(i32::MAX as u32) as i32;
        if code & 1 == 1 {
            half
        } else {
            -half
        }
    }

    fn checked<T>(&self, value: T, element: &'static str) -> Result<T, Malformed> {
        if self.overrun() {
            return Err(Malformed(element));
        }
        Ok(value)
    }

    /// u(n), n from 1 to 32. Like the readers below, fails with `element` beyond the end.
    #[inline]
    pub fn u(&mut self, count: u32, element: &'static str) -> Result<u32, Malformed> {
        let value = self.get(count);
        self.checked(value, element)
    }

    /// u(1) as a flag.
    #[inline]
    pub fn flag(&mut self, element: &'static str) -> Result<bool, Malformed> {
        Ok(self.u(1, element)? == 1)
    }

    /// ue(v).
    #[inline]
    pub fn ue(&mut self, element: &'static str) -> Result<u32, Malformed> {
        let value = self.get_ue();
        self.checked(value, element)
    }

    /// ue(v) that must not exceed `max`.
    #[inline]
    pub fn ue_max(&mut self, max: u32, element: &'static str) -> Result<u32, Malformed> {
        let value = self.ue(element)?;
        if value > max {
            return Err(Malformed(element));
        }
        Ok(value)
    }

    /// se(v).
    #[inline]
    pub fn se(&mut self, element: &'static str) -> Result<i32, Malformed> {
        let value = self.get_se();
        self.checked(value, element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_exp_golomb_codes() {
        // 1 010 011 00100 00101, then the stop bit.
        let data = [0b1010_0110, 0b0100_0010, 0b1100_0000];
        let mut r = BitReader::new(&data);
        let values: Vec<u32> = (0..5).map(|_| r.ue("x").unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        assert!(!r.more_rbsp_data());
        assert!(r.ue("x").is_err());
    }

    #[test]
    fn signed_exp_golomb_codes() {
        let data = [0b1010_0110, 0b0100_0010, 0b1100_0000];
        let mut r = BitReader::new(&data);
        let values: Vec<i32> = (0..5).map(|_| r.se("x").unwrap()).collect();
        assert_eq!(values, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn long_exp_golomb_codes() {
        // 31 zeros, a one and 31 more bits: 2^32 - 2.
        let mut data = vec![0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        data.push(0x80);
        let mut r = BitReader::new(&data);
        assert_eq!(r.ue("x").unwrap(), u32::MAX - 1);
        let zeros = [0u8; 16];
        assert!(BitReader::new(&zeros).ue("x").is_err());
    }

    #[test]
    fn error_names_the_truncated_element() {
        let data = [0x80];
        let error = BitReader::new(&data).u(8, "level_idc").unwrap_err();
        assert!(error.to_string().contains("level_idc"));
    }
}
