//! Motion of a picture by 8x8 blocks.

/// (x right, y down) in half or quarter samples, as coded.
pub type Vector = [i16; 2];

/// How a macroblock is predicted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prediction {
    /// Not at all.
    #[default]
    Intra,
    /// From the picture before, with zero vectors and without data.
    Skipped,
    /// From the picture before.
    Forward,
    /// From the picture after.
    Backward,
    /// From both.
    Both,
}

impl Prediction {
    /// Whether a macroblock uses the picture before and the one after.
    pub fn lists(self) -> [bool; 2] {
        match self {
            Prediction::Intra => [false, false],
            Prediction::Skipped | Prediction::Forward => [true, false],
            Prediction::Backward => [false, true],
            Prediction::Both => [true, true],
        }
    }
}

/// Motion of a P or B picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    columns: usize,
    /// By macroblock, row by row.
    pub predictions: Vec<Prediction>,
    /// Forward and backward vectors of 8x8 blocks, row by row; zero where the list is not used.
    pub vectors: [Vec<Vector>; 2],
    /// Whether a vector unit is a quarter of a sample, not a half.
    pub quarter_sample: bool,
}

impl Field {
    pub(crate) fn new((columns, rows): (usize, usize), quarter_sample: bool) -> Self {
        let zeros = vec![[0; 2]; 4 * columns * rows];
        Field {
            columns,
            predictions: vec![Prediction::Intra; columns * rows],
            vectors: [zeros.clone(), zeros],
            quarter_sample,
        }
    }

    /// Every macroblock as in the picture before.
    pub(crate) fn still(macroblocks: (usize, usize)) -> Self {
        let mut field = Field::new(macroblocks, false);
        field.predictions.fill(Prediction::Skipped);
        field
    }

    /// Number of macroblocks in a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of rows of macroblocks.
    pub fn rows(&self) -> usize {
        self.predictions.len() / self.columns
    }

    /// Position among `vectors` of block 0 to 3 of a macroblock.
    #[inline]
    pub(crate) fn block(&self, address: usize, block: usize) -> usize {
        let (row, column) = (address / self.columns, address % self.columns);
        (2 * row + (block >> 1)) * 2 * self.columns + 2 * column + (block & 1)
    }

    pub(crate) fn set(&mut self, list: usize, address: usize, vectors: [Vector; 4]) {
        for (block, vector) in vectors.into_iter().enumerate() {
            let position = self.block(address, block);
            self.vectors[list][position] = vector;
        }
    }

    pub(crate) fn vectors_of(&self, list: usize, address: usize) -> [Vector; 4] {
        std::array::from_fn(|block| self.vectors[list][self.block(address, block)])
    }
}
