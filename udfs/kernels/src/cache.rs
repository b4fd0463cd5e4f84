//! Asking for memory before it is needed.

/// Bytes of a line of the cache on the machines that have the instruction.
const LINE: usize = 64;

/// Asks for the memory of `values`, which are needed soon, to be brought into the caches meanwhile. Where
/// there is no stable way to say it, as on ARM, it does nothing.
#[inline(always)]
pub fn prefetch<T>(values: &[T]) {
    let first = values.as_ptr().cast::<u8>();
    for offset in (0..size_of_val(values)).step_by(LINE) {
        prefetch_line(first.wrapping_add(offset));
    }
}

/// Asks for the line of one address, which may be any.
#[inline(always)]
pub(crate) fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch accesses no memory as far as the language is concerned, and SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_will_do() {
        prefetch::<f64>(&[]);
        prefetch(&[(); 5]);
        prefetch(&[1_u8; 300]);
        prefetch_line(std::ptr::null());
        prefetch_line(std::ptr::without_provenance(usize::MAX));
    }
}
