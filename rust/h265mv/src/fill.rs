//! Filling of short runs, of which there are several for each block.

/// Sets all of `run`, which most often has 1, 2, 4, 8 or 16 elements: these are stored without a call.
#[inline(always)]
pub(crate) fn fill_run<T: Copy>(run: &mut [T], value: T) {
    match run.len() {
        1 => store::<T, 1>(run, value),
        2 => store::<T, 2>(run, value),
        4 => store::<T, 4>(run, value),
        8 => store::<T, 8>(run, value),
        16 => store::<T, 16>(run, value),
        _ => run.fill(value),
    }
}

#[inline(always)]
fn store<T: Copy, const N: usize>(run: &mut [T], value: T) {
    if let Some(run) = run.first_chunk_mut::<N>() {
        *run = [value; N];
    }
}
