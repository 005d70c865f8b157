//! How memory is had of the system.

/// Tells glibc's allocator to be sparing. All threads allocate from one arena: it otherwise gives each its own, about a
/// megabyte for minder's threads, which seldom allocate at the same time. And what is large and short-lived, such as the
/// effects of a pass over all services, is given back to the system. Called first, before there are threads.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn be_sparing() {
    const LARGE: i32 = 64 << 10;
    for (option, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, LARGE)] {
        // SAFETY: it sets a number in the allocator, under the allocator's own lock.
        let _ = unsafe { libc::mallopt(option, value) };
    }
}

/// Other C libraries are sparing as they are.
#[cfg(not(target_env = "gnu"))]
pub fn be_sparing() {}
