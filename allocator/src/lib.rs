//! The allocator of the program: jemalloc where this crate's manifest has it, elsewhere the system's.
//!
//! Queries allocate and free on all threads. What jemalloc gains stands in docs/benchmarks.md.

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod jemalloc {
    #![expect(unsafe_code, reason = "an allocator hands out memory as pointers")]

    use std::alloc::{GlobalAlloc, Layout};

    use tikv_jemallocator::Jemalloc;

    /// The largest memory that is zeroed here.
    ///
    /// Of 16 KiB and more, jemalloc asks the system for pages of zeroes in place of those that it has. The
    /// system then interrupts each core that runs a thread of the process (a TLB shootdown), which takes
    /// longer than writing the zeroes. Of larger memory, much may never be touched.
    const MAX_ZEROED_BYTES: usize = 1 << 20;

    #[global_allocator]
    static ALLOCATOR: ZeroingJemalloc = ZeroingJemalloc;

    struct ZeroingJemalloc;

    // SAFETY: each method hands its arguments, and with them what its caller promised, to jemalloc.
    unsafe impl GlobalAlloc for ZeroingJemalloc {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as above.
            unsafe { Jemalloc.alloc(layout) }
        }

        #[inline]
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: as above.
            unsafe { Jemalloc.dealloc(pointer, layout) }
        }

        #[inline]
        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            // SAFETY: as above.
            unsafe { Jemalloc.realloc(pointer, layout, new_size) }
        }

        #[inline]
        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            if layout.size() > MAX_ZEROED_BYTES {
                // SAFETY: as above.
                return unsafe { Jemalloc.alloc_zeroed(layout) };
            }
            // SAFETY: as above.
            let pointer = unsafe { Jemalloc.alloc(layout) };
            if !pointer.is_null() {
                // SAFETY: jemalloc has just handed out so many bytes.
                unsafe { pointer.write_bytes(0, layout.size()) };
            }
            pointer
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn zeroed_memory_that_was_used_before_is_zero() {
            let around = [1, 15, 16, 17, 4095, 16 << 10, (16 << 10) + 1, MAX_ZEROED_BYTES - 1];
            for size in around.into_iter().chain([MAX_ZEROED_BYTES, MAX_ZEROED_BYTES + 1, 9 << 20])
            {
                for align in [1, 8, 64, 8192] {
                    let layout = Layout::from_size_align(size, align).expect("a layout");
                    for _ in 0..3 {
                        // SAFETY: the size is not zero; the memory is freed by the layout that it has.
                        let bytes = unsafe { std::alloc::alloc_zeroed(layout) };
                        assert!(!bytes.is_null() && bytes.addr().is_multiple_of(align));
                        // SAFETY: so many bytes were handed out and zeroed, to nobody else.
                        let used = unsafe { std::slice::from_raw_parts_mut(bytes, size) };
                        assert!(used.iter().all(|byte| *byte == 0), "{size} bytes at {align}");
                        used.fill(7);
                        // SAFETY: nothing uses the memory any more.
                        unsafe { std::alloc::dealloc(bytes, layout) };
                    }
                }
            }
        }
    }
}
