//! Macroblocks of B pictures (clauses 6.2.7, 7.6.9).

use bitstream::{Error, Malformed, Result};

use crate::field::{Field, Prediction, Vector};
use crate::headers::{Layer, Plane};
use crate::macroblock::Macroblocks;

/// Times between pictures, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distances {
    /// TRB: from the I or P picture before to this one.
    pub(crate) past: i64,
    /// TRD: from the I or P picture before to the one after.
    pub(crate) both: i64,
}

/// Reads the motion of a B picture behind its start code.
///
/// `after` is the motion of the I or P picture that is shown after it; None for an I picture.
pub(crate) fn read(
    data: &[u8],
    layer: &Layer,
    plane: Plane,
    after: Option<&Field>,
    distances: Distances,
) -> Result<Field> {
    let mut parser = Parser {
        macroblocks: Macroblocks::new(data, layer, plane),
        field: Field::new(layer.macroblocks(), layer.quarter_sample),
        after,
        distances,
        last: [[0; 2]; 2],
    };
    for address in 0..parser.field.predictions.len() {
        parser
            .macroblock(address)
            .map_err(|error| Error::from(error).in_block("macroblock", address as u32))?;
    }
    parser
        .macroblocks
        .check_end(data, |at| is_skipped(after, at))?;
    Ok(parser.field)
}

struct Parser<'a> {
    macroblocks: Macroblocks<'a>,
    field: Field,
    after: Option<&'a Field>,
    distances: Distances,
    /// The last forward and backward vector of the row and video packet.
    last: [Vector; 2],
}

impl Parser<'_> {
    fn macroblock(&mut self, address: usize) -> Result<(), Malformed> {
        if address.is_multiple_of(self.field.columns()) {
            self.last = [[0; 2]; 2];
        }
        let after = self.after;
        let skipped =
            |at: usize| after.is_some_and(|field| field.predictions[at] == Prediction::Skipped);
        if skipped(address) {
            self.field.predictions[address] = Prediction::Skipped;
            return Ok(());
        }
        if self
            .macroblocks
            .start_packets(address, |at| is_skipped(after, at))?
        {
            self.last = [[0; 2]; 2];
        }
        let r = &mut self.macroblocks.reader;
        if r.get(1) == 1 {
            self.direct(address, None)?; // modb 1
            return self.macroblocks.check();
        }
        let without_pattern = r.get(1) == 1;
        let kind = (r.window() | 1).leading_zeros(); // mb_type: table B.3
        if kind > 3 {
            return Err(Malformed("mb_type"));
        }
        r.skip(kind + 1);
        let pattern = if without_pattern { 0 } else { r.get(6) };
        if kind == 0 {
            let difference = self.macroblocks.vector([0; 2], 1)?;
            self.direct(address, Some(difference))?;
        } else {
            if pattern != 0 && r.get(1) == 1 {
                r.skip(1); // dbquant
            }
            self.coded(
                address,
                [Prediction::Both, Prediction::Backward, Prediction::Forward][kind as usize - 1],
            )?;
        }
        self.macroblocks.skip_blocks(pattern)?;
        self.macroblocks.check()
    }

    fn coded(&mut self, address: usize, prediction: Prediction) -> Result<(), Malformed> {
        self.field.predictions[address] = prediction;
        for (list, used) in prediction.lists().into_iter().enumerate() {
            if used {
                let fcode = self.macroblocks.fcode(list);
                let vector = self.macroblocks.vector(self.last[list], fcode)?;
                self.last[list] = vector;
                self.field.set(list, address, [vector; 4]);
            }
        }
        Ok(())
    }

    /// Direct mode (7.6.9.5): vectors of the picture after, scaled, and a difference.
    fn direct(&mut self, address: usize, difference: Option<Vector>) -> Result<(), Malformed> {
        let delta = difference.unwrap_or_default();
        let base = self
            .after
            .map_or([[0; 2]; 4], |after| after.vectors_of(0, address));
        let Distances { past, both } = self.distances;
        let mut lists = [[[0i16; 2]; 4]; 2];
        for block in 0..4 {
            for axis in 0..2 {
                let vector = i64::from(base[block][axis]);
                let forward = vector * past / both + i64::from(delta[axis]);
                let backward = if delta[axis] == 0 {
                    vector * (past - both) / both
                } else {
                    forward - vector
                };
                lists[0][block][axis] = short(forward)?;
                lists[1][block][axis] = short(backward)?;
            }
        }
        self.field.predictions[address] = Prediction::Both;
        for (list, vectors) in lists.into_iter().enumerate() {
            self.field.set(list, address, vectors);
        }
        Ok(())
    }
}

/// Whether a macroblock has no data because the picture after has none there.
fn is_skipped(after: Option<&Field>, address: usize) -> bool {
    after.is_some_and(|field| field.predictions[address] == Prediction::Skipped)
}

fn short(value: i64) -> Result<i16, Malformed> {
    i16::try_from(value).map_err(|_| Malformed("vector of direct mode"))
}
