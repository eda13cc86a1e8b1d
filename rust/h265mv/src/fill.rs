//! Filling of short runs, of which there are several for each block.

/// Sets all of `run`, which most often has 1, 2, 4, 8 or 16 elements: these are stored without a call.
#[inline(always)]
pub(crate) fn fill_run<T: Copy>(run: &mut [T], value: T) {
    fill_block(run, (run.len().max(1), run.len(), 1), value);
}

/// Sets the first `columns` elements of `rows` rows, which follow each other at a distance of `stride`.
#[inline(always)]
pub(crate) fn fill_block<T: Copy>(
    plane: &mut [T],
    (stride, columns, rows): (usize, usize, usize),
    value: T,
) {
    let rows = plane.chunks_mut(stride).take(rows);
    match columns {
        1 => store::<T, 1>(rows, value),
        2 => store::<T, 2>(rows, value),
        4 => store::<T, 4>(rows, value),
        8 => store::<T, 8>(rows, value),
        16 => store::<T, 16>(rows, value),
        _ => rows.for_each(|row| row[..columns].fill(value)),
    }
}

#[inline(always)]
fn store<'a, T: Copy + 'a, const N: usize>(rows: impl Iterator<Item = &'a mut [T]>, value: T) {
    for row in rows {
        if let Some(run) = row.first_chunk_mut::<N>() {
            *run = [value; N];
        }
    }
}
