//! The bare system calls that no library offers as we need them, and all unsafe code of minder. Imports nothing of ours.

pub mod proc;
