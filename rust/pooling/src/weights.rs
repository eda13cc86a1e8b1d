//! Shares of the cells of an axis in the parts that it is divided into.

use crate::Mismatch;

/// Which of the cells of an axis lie in each part, and their share of it.
#[derive(Debug, Clone)]
pub struct Weights {
    cells: usize,
    parts: usize,
    /// [steps, parts], ascending over the steps.
    cell: Vec<usize>,
    /// [steps, parts].
    share: Vec<f32>,
}

impl Weights {
    /// Weights of an axis of `cells` cells in `parts` parts.
    ///
    /// `cell` and `share` are [steps, parts]: the first cell of each part, then the second, and so on. Cells that
    /// lie in no part have share 0.
    pub fn new(
        cells: usize,
        parts: usize,
        cell: Vec<usize>,
        share: Vec<f32>,
    ) -> Result<Self, Mismatch> {
        let steps = cell.len().checked_div(parts).unwrap_or(0);
        if steps == 0 || cell.len() != steps * parts || share.len() != cell.len() {
            return Err(Mismatch(format!(
                "{} cells and {} shares do not make {parts} parts",
                cell.len(),
                share.len()
            )));
        }
        if let Some(outside) = cell.iter().find(|&&cell| cell >= cells) {
            return Err(Mismatch(format!("cell {outside} of {cells}")));
        }
        let ascending = (parts..cell.len()).all(|i| cell[i - parts] <= cell[i]);
        if !ascending {
            return Err(Mismatch("the cells of a part must ascend".to_owned()));
        }
        Ok(Weights {
            cells,
            parts,
            cell,
            share,
        })
    }

    /// Cells of the axis.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Parts of the axis.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// The cells and shares [parts] of each step.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&[usize], &[f32])> {
        let cells = self.cell.chunks_exact(self.parts);
        cells.zip(self.share.chunks_exact(self.parts))
    }

    /// For each cell the parts that it adds to, in the order of their steps.
    pub(crate) fn by_cell(&self) -> Vec<Vec<Term>> {
        let mut terms = vec![Vec::new(); self.cells];
        for (step, (cells, shares)) in self.steps().enumerate() {
            for (part, (&cell, &share)) in cells.iter().zip(shares).enumerate() {
                terms[cell].push(Term {
                    part,
                    share,
                    first: step == 0,
                });
            }
        }
        terms
    }
}

/// What a cell adds to a part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Term {
    pub part: usize,
    pub share: f32,
    /// Whether the sum begins with it.
    pub first: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_does_not_fit() {
        assert!(Weights::new(4, 2, vec![0, 2, 1, 3], vec![0.5; 4]).is_ok());
        for (cells, parts, cell, shares) in [
            (4, 2, vec![0, 2, 1], 3),
            (4, 2, vec![0, 2, 1, 3], 3),
            (3, 2, vec![0, 2, 1, 3], 4),
            (4, 2, vec![1, 3, 0, 2], 4),
            (4, 0, vec![], 0),
            (4, 2, vec![], 0),
        ] {
            assert!(Weights::new(cells, parts, cell, vec![0.5; shares]).is_err());
        }
    }

    #[test]
    fn a_cell_adds_to_its_parts_in_order() {
        let weights = Weights::new(3, 2, vec![0, 1, 1, 2], vec![1.0, 0.5, 0.5, 1.0]).unwrap();
        let parts: Vec<Vec<(usize, bool)>> = weights
            .by_cell()
            .iter()
            .map(|terms| terms.iter().map(|term| (term.part, term.first)).collect())
            .collect();
        assert_eq!(
            parts,
            [
                vec![(0, true)],
                vec![(1, true), (0, false)],
                vec![(1, false)]
            ]
        );
    }
}
