//! Tables of the standard, as data: see `tools/make_tables.py`.

pub(crate) mod cabac;
pub(crate) mod cavlc;
