//! A text as a rule file.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = minder_fuzz::read(text);
});
