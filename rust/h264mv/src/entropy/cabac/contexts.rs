//! Contexts of CABAC and their initial values (clause 9.3.1.1).

use std::sync::OnceLock;

use bitstream::cabac::Context;

use super::tables::{CABAC_INIT, RESIDUAL_CTX};
use crate::syntax::slice_header::SliceHeader;

/// All contexts of a slice by ctxIdx.
pub(super) type Contexts = [Context; 1024];

/// Initial contexts (clause 9.3.1.1): `table` is 0 for I slices, else cabac_init_idc + 1.
fn initial_contexts(table: usize, slice_qp: i32) -> Contexts {
    CABAC_INIT[table & 3].map(|[m, n]| Context::initial(m as i32, n as i32, slice_qp))
}

/// Contexts of significant_coeff_flag and last_significant_coeff_flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapContexts {
    pub significant: [Context; 16],
    pub last: [Context; 16],
}

/// Contexts of a block category (ctxBlockCat), stored together because they are used together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Category {
    /// coded_block_flag.
    pub flag: [Context; 16],
    /// For frame and for field macroblocks.
    pub maps: [MapContexts; 2],
    /// coeff_abs_level_minus1.
    pub level: [Context; 16],
}

/// Contexts of all block categories of a slice.
#[derive(Debug, Clone)]
pub(super) struct BlockContexts(pub [Category; 14]);

impl BlockContexts {
    /// Copies the contexts of residual blocks from all contexts of a slice.
    pub fn new(contexts: &Contexts) -> Self {
        let copy_from = |first: u16| {
            let mut out = [contexts[0]; 16];
            let from = &contexts[first as usize..];
            let count = from.len().min(16);
            out[..count].copy_from_slice(&from[..count]);
            out
        };
        let category = |row: &[u16; 6]| {
            let map = |field: usize| MapContexts {
                significant: copy_from(row[1 + field]),
                last: copy_from(row[3 + field]),
            };
            Category {
                flag: copy_from(row[0]),
                maps: [map(0), map(1)],
                level: copy_from(row[5]),
            }
        };
        BlockContexts(std::array::from_fn(|i| category(&RESIDUAL_CTX[i])))
    }
}

/// Contexts at the start of a slice.
#[derive(Debug)]
pub(super) struct InitialContexts {
    pub contexts: Contexts,
    pub blocks: BlockContexts,
}

/// Cache by initialisation table and SliceQPY: initialisation dominates the time of small slices.
static INITIAL: [[OnceLock<Box<InitialContexts>>; 52]; 4] =
    [const { [const { OnceLock::new() }; 52] }; 4];

impl InitialContexts {
    /// The initial contexts for a slice with this header.
    pub fn of(header: &SliceHeader) -> &'static InitialContexts {
        let (table, qp) = (header.cabac_init_idc & 3, header.slice_qp.clamp(0, 51));
        INITIAL[table as usize][qp as usize].get_or_init(|| {
            let contexts = initial_contexts(table as usize, qp);
            let blocks = BlockContexts::new(&contexts);
            Box::new(InitialContexts { contexts, blocks })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_initialisation() {
        let contexts = initial_contexts(0, 26);
        // ctxIdx 0: m 20, n -15.
        assert_eq!(contexts[0], Context::initial(20, -15, 26));
    }
}
