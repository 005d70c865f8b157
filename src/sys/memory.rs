//! How memory is had of the system.

/// Lets all threads allocate from one arena. glibc otherwise gives each thread one of its own, most of which is never used:
/// about a megabyte for minder's threads, which seldom allocate at the same time. Called first, before there are threads.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn share_one_arena() {
    // SAFETY: it sets a number in the allocator, under the allocator's own lock.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Other C libraries have one arena as it is.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_arena() {}
