//! Averages over the cells of a grid of the upright picture.

use crate::weights::Term;
use crate::{Blocks, Mismatch, Weights};

/// How the coded picture is turned upright, by right angles and mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Whether rows and columns are exchanged.
    pub swaps_sides: bool,
    /// Whether columns of the upright picture are in reverse order; its x motion is reversed as well.
    pub mirrors_columns: bool,
    /// Whether rows of the upright picture are in reverse order; its y motion is reversed as well.
    pub mirrors_rows: bool,
}

/// Averages the motion of pictures of one size.
#[derive(Debug, Clone)]
pub struct Pooler {
    /// Over rows of the upright picture.
    rows: Weights,
    /// What each row adds to.
    by_row: Vec<Vec<Term>>,
    columns: Weights,
    turn: Turn,
    /// Width of an upright cell to its height.
    aspect: f32,
    normalize: bool,
}

impl Pooler {
    /// A pooler of pictures with a grid of `rows.cells()` rows and `columns.cells()` columns when upright.
    ///
    /// Without `normalize` vectors keep their coded length.
    pub fn new(rows: Weights, columns: Weights, turn: Turn, aspect: f32, normalize: bool) -> Self {
        Pooler {
            by_row: rows.by_cell(),
            rows,
            columns,
            turn,
            aspect,
            normalize,
        }
    }

    /// Rows and columns of the result.
    pub fn grid(&self) -> (usize, usize) {
        (self.rows.parts(), self.columns.parts())
    }

    /// Mean flow [2, rows, columns] in pixels per frame interval of the upright picture.
    pub fn flow(&self, blocks: &Blocks<'_>) -> Result<Vec<f32>, Mismatch> {
        let normalize = self.normalize;
        self.pool(blocks, |row, x, y| {
            if blocks.is_progressive() {
                blocks.frame_row(row, normalize, x, y);
            } else {
                blocks.field_row(row, normalize, x, y);
            }
        })
    }

    /// Share of inter predicted blocks, [rows, columns] of the upright picture.
    pub fn inter(&self, blocks: &Blocks<'_>) -> Result<Vec<f32>, Mismatch> {
        // Turning reverses the signs of vectors, and the aspect ratio scales them: here they are shares.
        let plain = Pooler {
            aspect: 1.0,
            ..self.clone()
        };
        let mut planes = plain.pool(blocks, |row, x, y| {
            blocks.inter_row(row, x);
            y.copy_from_slice(x);
        })?;
        planes.truncate(self.rows.parts() * self.columns.parts());
        planes.iter_mut().for_each(|share| *share = share.abs());
        Ok(planes)
    }

    /// Averages what `fill` gives for each coded row: horizontal and vertical components.
    fn pool(
        &self,
        blocks: &Blocks<'_>,
        fill: impl Fn(usize, &mut [f32], &mut [f32]),
    ) -> Result<Vec<f32>, Mismatch> {
        blocks.check()?;
        let (rows, columns) = (self.rows.cells(), self.columns.cells());
        let coded = if self.turn.swaps_sides {
            (columns, rows)
        } else {
            (rows, columns)
        };
        if (blocks.rows, blocks.columns) != coded {
            return Err(Mismatch(format!(
                "the picture has {} x {} blocks, not {} x {}",
                blocks.rows, blocks.columns, coded.0, coded.1
            )));
        }
        let mut sums = Sums::new(self.rows.parts(), columns);
        let (mut x, mut y) = (vec![0.0; columns], vec![0.0; columns]);
        if self.turn.swaps_sides {
            let (across, down) = whole_picture(blocks.rows, blocks.columns, fill);
            for row in 0..rows {
                let source = if self.turn.mirrors_rows {
                    rows - 1 - row
                } else {
                    row
                };
                // The coded vertical component is the upright horizontal one.
                gather_column(&down, rows, source, &mut x);
                gather_column(&across, rows, source, &mut y);
                self.add(&mut sums, row, &mut x, &mut y);
            }
        } else {
            for row in 0..rows {
                let source = if self.turn.mirrors_rows {
                    rows - 1 - row
                } else {
                    row
                };
                if self.by_row[row].is_empty() {
                    continue; // beyond the picture as shown
                }
                fill(source, &mut x, &mut y);
                self.add(&mut sums, row, &mut x, &mut y);
            }
        }
        let [x, y] = sums.planes;
        let mut pooled = self.pool_columns(&x);
        pooled.extend(self.pool_columns(&y));
        Ok(pooled)
    }

    /// Turns the vectors of a row upright and adds it to its parts.
    fn add(&self, sums: &mut Sums, row: usize, x: &mut [f32], y: &mut [f32]) {
        if self.turn.mirrors_columns {
            x.iter_mut().for_each(|value| *value = -*value);
        }
        if self.turn.mirrors_rows {
            y.iter_mut().for_each(|value| *value = -*value);
        }
        if self.aspect != 1.0 {
            x.iter_mut().for_each(|value| *value *= self.aspect);
        }
        for &term in &self.by_row[row] {
            sums.add(term, x, y);
        }
    }

    /// Averages the columns of a plane [parts of rows, columns].
    fn pool_columns(&self, plane: &[f32]) -> Vec<f32> {
        let (cells, parts) = (self.columns.cells(), self.columns.parts());
        let mut pooled = vec![0.0; self.rows.parts() * parts];
        for (line, pooled) in plane
            .chunks_exact(cells)
            .zip(pooled.chunks_exact_mut(parts))
        {
            for (step, (cell, share)) in self.columns.steps().enumerate() {
                for ((sum, &cell), &share) in pooled.iter_mut().zip(cell).zip(share) {
                    let source = if self.turn.mirrors_columns {
                        cells - 1 - cell
                    } else {
                        cell
                    };
                    let value = line[source] * share;
                    *sum = if step == 0 { value } else { *sum + value };
                }
            }
        }
        pooled
    }
}

/// Weighted sums of rows, for both components.
struct Sums {
    columns: usize,
    planes: [Vec<f32>; 2],
}

impl Sums {
    fn new(parts: usize, columns: usize) -> Self {
        Sums {
            columns,
            planes: [vec![0.0; parts * columns], vec![0.0; parts * columns]],
        }
    }

    fn add(&mut self, term: Term, x: &[f32], y: &[f32]) {
        let area = term.part * self.columns..(term.part + 1) * self.columns;
        for (plane, row) in self.planes.iter_mut().zip([x, y]) {
            let sums = plane[area.clone()].iter_mut().zip(row);
            if term.first {
                sums.for_each(|(sum, value)| *sum = value * term.share);
            } else {
                sums.for_each(|(sum, value)| *sum += value * term.share);
            }
        }
    }
}

/// Both components of all coded rows, [rows, columns] each.
fn whole_picture(
    rows: usize,
    columns: usize,
    fill: impl Fn(usize, &mut [f32], &mut [f32]),
) -> (Vec<f32>, Vec<f32>) {
    let (mut across, mut down) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
    let lines = across.chunks_exact_mut(columns.max(1));
    for (row, (x, y)) in lines.zip(down.chunks_exact_mut(columns.max(1))).enumerate() {
        fill(row, x, y);
    }
    (across, down)
}

/// Column `column` of a plane [rows, columns].
fn gather_column(plane: &[f32], columns: usize, column: usize, out: &mut [f32]) {
    for (value, line) in out.iter_mut().zip(plane.chunks_exact(columns.max(1))) {
        *value = line[column];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Structure;

    const UPRIGHT: Turn = Turn {
        swaps_sides: false,
        mirrors_columns: false,
        mirrors_rows: false,
    };

    /// Weights that keep each of `cells` cells.
    fn each(cells: usize) -> Weights {
        Weights::new(cells, cells, (0..cells).collect(), vec![1.0; cells]).unwrap()
    }

    /// Weights that average all of an axis.
    fn mean(cells: usize) -> Weights {
        Weights::new(
            cells,
            1,
            (0..cells).collect(),
            vec![1.0 / cells as f32; cells],
        )
        .unwrap()
    }

    /// Two rows of three blocks with x motion 1 to 6 and y motion 10 to 60, and its arrays.
    struct Example {
        mv: Vec<[i16; 2]>,
        ref_idx: Vec<i8>,
        ref_poc: Vec<i32>,
    }

    impl Example {
        fn new() -> Self {
            let mut mv: Vec<[i16; 2]> = (1..=6).map(|i| [-4 * i, -40 * i]).collect();
            mv.extend([[0, 0]; 6]);
            Example {
                mv,
                ref_idx: [[0; 6], [-1; 6]].concat(),
                ref_poc: [[0; 6], [i32::MIN; 6]].concat(),
            }
        }

        fn blocks(&self) -> Blocks<'_> {
            Blocks {
                rows: 2,
                columns: 3,
                mv: &self.mv,
                ref_idx: &self.ref_idx,
                ref_poc: &self.ref_poc,
                poc: 2,
                poc_interval: 2,
                structure: Structure::Frame,
                field_blocks: None,
                other_parity: None,
            }
        }
    }

    #[test]
    fn means_are_over_both_axes() {
        let example = Example::new();
        let pooler = Pooler::new(mean(2), each(3), UPRIGHT, 1.0, true);
        assert_eq!(
            pooler.flow(&example.blocks()).unwrap(),
            [2.5, 3.5, 4.5, 25.0, 35.0, 45.0]
        );
        assert_eq!(pooler.inter(&example.blocks()).unwrap(), [1.0; 3]);
    }

    #[test]
    fn pictures_are_turned_upright() {
        let example = Example::new();
        // A quarter clockwise: the left column, from below, is the upper row; down is left, right is down.
        let turn = Turn {
            swaps_sides: true,
            mirrors_columns: true,
            mirrors_rows: false,
        };
        let pooler = Pooler::new(each(3), each(2), turn, 1.0, true);
        let flow = pooler.flow(&example.blocks()).unwrap();
        assert_eq!(flow[..6], [-40.0, -10.0, -50.0, -20.0, -60.0, -30.0]);
        assert_eq!(flow[6..], [4.0, 1.0, 5.0, 2.0, 6.0, 3.0]);
        assert_eq!(pooler.inter(&example.blocks()).unwrap(), [1.0; 6]);
        let turn = Turn {
            swaps_sides: false,
            mirrors_columns: true,
            mirrors_rows: true,
        };
        let pooler = Pooler::new(each(2), each(3), turn, 2.0, true);
        let flow = pooler.flow(&example.blocks()).unwrap();
        assert_eq!(flow[..6], [-12.0, -10.0, -8.0, -6.0, -4.0, -2.0]);
        assert_eq!(flow[6..], [-60.0, -50.0, -40.0, -30.0, -20.0, -10.0]);
    }

    #[test]
    fn a_picture_of_another_size_is_refused() {
        let example = Example::new();
        let pooler = Pooler::new(mean(3), each(3), UPRIGHT, 1.0, true);
        assert!(pooler.flow(&example.blocks()).is_err());
        let turn = Turn {
            swaps_sides: true,
            ..UPRIGHT
        };
        let pooler = Pooler::new(mean(2), each(3), turn, 1.0, true);
        assert!(pooler.inter(&example.blocks()).is_err());
    }
}
