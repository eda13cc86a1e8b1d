//! Macroblocks of P pictures (clauses 6.2.7, 7.6.5).

use bitstream::{Error, Malformed, Result};

use crate::field::{Field, Prediction, Vector};
use crate::headers::{Layer, Plane};
use crate::macroblock::Macroblocks;
use crate::tables::MCBPC_INTER_CODES;

const STUFFING: u8 = 20;
const FOUR_VECTORS: u8 = 16;
const DQUANT: u8 = 8;
const INTRA: u8 = 4;

/// Reads the motion of a P picture behind its start code.
pub(crate) fn read(data: &[u8], layer: &Layer, plane: Plane) -> Result<Field> {
    let mut parser = Parser {
        macroblocks: Macroblocks::new(data, layer, plane),
        field: Field::new(layer.macroblocks(), layer.quarter_sample),
    };
    for address in 0..parser.field.predictions.len() {
        parser
            .macroblock(address)
            .map_err(|error| Error::from(error).in_block("macroblock", address as u32))?;
    }
    parser.macroblocks.check_end(data, |_| false)?;
    Ok(parser.field)
}

struct Parser<'a> {
    macroblocks: Macroblocks<'a>,
    field: Field,
}

impl Parser<'_> {
    fn macroblock(&mut self, address: usize) -> Result<(), Malformed> {
        self.macroblocks.start_packets(address, |_| false)?;
        match self.mcbpc()? {
            None => self.field.predictions[address] = Prediction::Skipped,
            Some(mcbpc) if mcbpc & INTRA != 0 => self.intra(mcbpc)?,
            Some(mcbpc) => self.inter(address, mcbpc)?,
        }
        self.macroblocks.check()
    }

    /// mcbpc, None of a macroblock that is not coded.
    fn mcbpc(&mut self) -> Result<Option<u8>, Malformed> {
        loop {
            let r = &mut self.macroblocks.reader;
            if r.get(1) == 1 {
                return Ok(None); // not_coded
            }
            let (value, length) = MCBPC_INTER_CODES.find(r.window());
            if length == 0 {
                return Err(Malformed("mcbpc"));
            }
            r.skip(u32::from(length));
            if value != STUFFING {
                return Ok(Some(value));
            }
            self.macroblocks.check()?;
        }
    }

    fn intra(&mut self, mcbpc: u8) -> Result<(), Malformed> {
        let macroblocks = &mut self.macroblocks;
        macroblocks.reader.skip(1); // ac_pred_flag
        let pattern = macroblocks.cbpy(true)? << 2 | u32::from(mcbpc & 3);
        let codes_dc = macroblocks.codes_dc();
        if mcbpc & DQUANT != 0 {
            macroblocks.change_quantiser();
        }
        macroblocks.skip_intra_blocks(pattern, codes_dc)
    }

    fn inter(&mut self, address: usize, mcbpc: u8) -> Result<(), Malformed> {
        let pattern = self.macroblocks.cbpy(false)? << 2 | u32::from(mcbpc & 3);
        if mcbpc & DQUANT != 0 {
            self.macroblocks.change_quantiser();
        }
        let fcode = self.macroblocks.fcode(0);
        self.field.predictions[address] = Prediction::Forward;
        if mcbpc & FOUR_VECTORS == 0 {
            let vector = self.macroblocks.vector(self.predicted(address, 0), fcode)?;
            self.field.set(0, address, [vector; 4]);
        } else {
            for block in 0..4 {
                let vector = self
                    .macroblocks
                    .vector(self.predicted(address, block), fcode)?;
                let position = self.field.block(address, block);
                self.field.vectors[0][position] = vector;
            }
        }
        self.macroblocks.skip_blocks(pattern)
    }

    /// The median of the vectors to the left, above, and above to the right (7.6.5, figure 7-34).
    fn predicted(&self, address: usize, block: usize) -> Vector {
        let columns = self.field.columns();
        let column = address % columns;
        // Whether blocks of macroblocks to the left, above, above to the right are in the same packet.
        let start = self.macroblocks.packet_start;
        let left = column > 0 && address > start;
        let above = address >= start + columns;
        let right = column + 1 < columns && address + 1 >= start + columns && address >= columns;
        let here = self.field.block(address, block);
        let stride = 2 * columns;
        let (a, b, c) = match block {
            0 => (
                left.then(|| here - 1),
                above.then(|| here - stride),
                right.then(|| here + 2 - stride),
            ),
            1 => (
                Some(here - 1),
                above.then(|| here - stride),
                right.then(|| here + 1 - stride),
            ),
            2 => (
                left.then(|| here - 1),
                Some(here - stride),
                Some(here - stride + 1),
            ),
            _ => (Some(here - 1), Some(here - stride - 1), Some(here - stride)),
        };
        median([a, b, c].map(|position| position.map(|position| self.field.vectors[0][position])))
    }
}

/// The median, with zeros for candidates that are not known. Where one to the left or above to the right is the only
/// one, it is taken; one above is not (in pictures one macroblock wide), as encoders have it.
fn median([a, b, c]: [Option<Vector>; 3]) -> Vector {
    match (a, b, c) {
        (Some(only), None, None) | (None, None, Some(only)) => only,
        _ => {
            let [a, b, c] = [a, b, c].map(Option::unwrap_or_default);
            std::array::from_fn(|i| a[i].max(b[i]).min(a[i].min(b[i]).max(c[i])))
        }
    }
}
