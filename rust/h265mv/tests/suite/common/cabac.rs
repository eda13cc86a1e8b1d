//! CABAC encoder (clause 9.3.4): the inverse of the parser's engine, for streams written by hand.

#[allow(dead_code)]
#[path = "../../../../bitstream/src/cabac/tables.rs"]
mod tables;

use std::collections::HashMap;

use bitstream::cabac::initial_state;

use tables::{RANGE_LPS, TRANS_IDX_LPS, TRANS_IDX_MPS};

/// Name and initValue of a context variable, with SliceQpY 26.
pub type Context = (&'static str, u8);

/// Context variables that were used, as pStateIdx * 2 + valMPS.
pub type States = HashMap<&'static str, u8>;

#[derive(Default)]
pub struct Encoder {
    low: u32,
    range: u32,
    outstanding: u32,
    started: bool,
    bits: Vec<bool>,
    pub states: States,
}

impl Encoder {
    pub fn new(states: States) -> Self {
        Encoder {
            range: 510,
            states,
            ..Encoder::default()
        }
    }

    pub fn bin(&mut self, (name, init_value): Context, bin: bool) {
        let (slope, offset) = (init_value as i32 >> 4, init_value as i32 & 15);
        let state = self.states.entry(name);
        let state = state.or_insert_with(|| initial_state(slope * 5 - 45, (offset << 3) - 16, 26));
        let (index, mps) = ((*state >> 1) as usize, *state & 1);
        let lps = RANGE_LPS[index][(self.range >> 6 & 3) as usize] as u32;
        self.range -= lps;
        if bin as u8 == mps {
            *state = TRANS_IDX_MPS[index] * 2 + mps;
        } else {
            self.low += self.range;
            self.range = lps;
            let mps = if index == 0 { 1 - mps } else { mps };
            *state = TRANS_IDX_LPS[index] * 2 + mps;
        }
        self.renormalise();
    }

    pub fn bypass(&mut self, bin: bool) {
        self.low <<= 1;
        if bin {
            self.low += self.range;
        }
        self.shift_out();
    }

    /// A bin before termination; a true one ends the code word, and the last bit written is a one.
    pub fn terminate(&mut self, bin: bool) {
        self.range -= 2;
        if !bin {
            return self.renormalise();
        }
        self.low += self.range;
        self.range = 2;
        self.renormalise();
        self.put(self.low >> 9 & 1 == 1);
        self.bits.extend([self.low >> 8 & 1 == 1, true]);
    }

    /// The code word after a true [`Self::terminate`], filled with zeros to whole bytes.
    pub fn bits(mut self) -> Vec<bool> {
        while !self.bits.len().is_multiple_of(8) {
            self.bits.push(false);
        }
        self.bits
    }

    fn renormalise(&mut self) {
        while self.range < 256 {
            self.range <<= 1;
            self.low <<= 1;
            self.shift_out();
        }
    }

    /// Writes bit 10 of codILow, or keeps it while a carry may change it.
    fn shift_out(&mut self) {
        if self.low >= 1 << 10 {
            self.low -= 1 << 10;
            self.put(true);
        } else if self.low < 1 << 9 {
            self.put(false);
        } else {
            self.low -= 1 << 9;
            self.outstanding += 1;
        }
    }

    fn put(&mut self, bit: bool) {
        if self.started {
            self.bits.push(bit);
        }
        self.started = true;
        for _ in 0..std::mem::take(&mut self.outstanding) {
            self.bits.push(!bit);
        }
    }
}
