//! Tiles: the grid of a picture parameter set, and the order of coding tree blocks (clause 6.5.1).

use bitstream::BitReader;

use super::sps::Sps;
use bitstream::{Error, Result};

/// Most tile columns and rows (table A.8).
const MAX_COLUMNS: u32 = 20;
const MAX_ROWS: u32 = 22;

/// Columns and rows of tiles as a picture parameter set gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TileGrid {
    columns: Spacing,
    rows: Spacing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Spacing {
    Uniform(usize),
    /// Sizes of all but the last.
    Explicit(Vec<usize>),
}

impl TileGrid {
    pub fn parse(r: &mut BitReader) -> Result<Self> {
        let columns = 1 + r.ue_max(MAX_COLUMNS - 1, "num_tile_columns_minus1")? as usize;
        let rows = 1 + r.ue_max(MAX_ROWS - 1, "num_tile_rows_minus1")? as usize;
        let uniform = r.flag("uniform_spacing_flag")?;
        let mut spacing = |count: usize, element| -> Result<Spacing> {
            if uniform {
                return Ok(Spacing::Uniform(count));
            }
            let size = |_| Ok(1 + r.ue_max(1 << 12, element)? as usize);
            Ok(Spacing::Explicit(
                (1..count).map(size).collect::<Result<_>>()?,
            ))
        };
        let columns = spacing(columns, "column_width_minus1")?;
        let rows = spacing(rows, "row_height_minus1")?;
        if columns.count() * rows.count() > 1 {
            r.flag("loop_filter_across_tiles_enabled_flag")?;
        }
        Ok(TileGrid { columns, rows })
    }

    /// colBd and rowBd in pictures of `sps` (6-3, 6-4).
    pub fn bounds(&self, sps: &Sps) -> Result<[Vec<usize>; 2]> {
        Ok([
            self.columns.bounds(sps.width_in_ctbs())?,
            self.rows.bounds(sps.height_in_ctbs())?,
        ])
    }
}

impl Spacing {
    fn count(&self) -> usize {
        match self {
            Spacing::Uniform(count) => *count,
            Spacing::Explicit(sizes) => sizes.len() + 1,
        }
    }

    /// colBd or rowBd: first coding tree block of each tile, and the end (6-3, 6-4).
    fn bounds(&self, length: usize) -> Result<Vec<usize>> {
        let bad = Error::malformed("num_tile_columns_minus1");
        match self {
            Spacing::Uniform(count) if *count <= length => {
                Ok((0..=*count).map(|i| i * length / count).collect())
            }
            Spacing::Uniform(_) => Err(bad),
            Spacing::Explicit(sizes) => {
                let mut bounds = vec![0];
                for size in sizes {
                    bounds.push(bounds[bounds.len() - 1] + size);
                }
                if bounds[bounds.len() - 1] >= length {
                    return Err(bad);
                }
                bounds.push(length);
                Ok(bounds)
            }
        }
    }
}

/// Order of the coding tree blocks of pictures of one size and one grid of tiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CtbOrder {
    /// PicWidthInCtbsY.
    pub width: usize,
    /// CtbAddrTsToRs; empty where there are no tiles: then it is the identity.
    ts_to_rs: Vec<u32>,
    /// CtbAddrRsToTs; likewise.
    rs_to_ts: Vec<u32>,
    /// TileId by raster address; likewise.
    tile_id: Vec<u16>,
}

impl CtbOrder {
    /// `grid` is None where tiles are not enabled.
    pub fn new(sps: &Sps, grid: Option<&TileGrid>) -> Result<Self> {
        let (width, height) = (sps.width_in_ctbs(), sps.height_in_ctbs());
        let mut order = CtbOrder {
            width,
            ..CtbOrder::default()
        };
        let Some(grid) = grid else {
            return Ok(order);
        };
        let [columns, rows] = grid.bounds(sps)?;
        order.tile_id = vec![0; width * height];
        order.rs_to_ts = vec![0; width * height];
        let mut tile = 0;
        for row in rows.windows(2) {
            for column in columns.windows(2) {
                for y in row[0]..row[1] {
                    for x in column[0]..column[1] {
                        let rs = y * width + x;
                        order.rs_to_ts[rs] = order.ts_to_rs.len() as u32;
                        order.ts_to_rs.push(rs as u32);
                        order.tile_id[rs] = tile;
                    }
                }
                tile += 1;
            }
        }
        Ok(order)
    }

    /// CtbAddrTsToRs.
    #[inline]
    pub fn ts_to_rs(&self, ts: usize) -> usize {
        self.ts_to_rs.get(ts).map_or(ts, |&rs| rs as usize)
    }

    /// CtbAddrRsToTs.
    #[inline]
    pub fn rs_to_ts(&self, rs: usize) -> usize {
        self.rs_to_ts.get(rs).map_or(rs, |&ts| ts as usize)
    }

    /// TileId of a raster address.
    #[inline]
    pub fn tile(&self, rs: usize) -> u16 {
        self.tile_id.get(rs).copied().unwrap_or(0)
    }

    /// Whether the coding tree block at raster address `rs` is the first one of a row of its tile.
    #[inline]
    pub fn starts_row(&self, rs: usize) -> bool {
        rs.is_multiple_of(self.width) || self.tile(rs) != self.tile(rs - 1)
    }
}
