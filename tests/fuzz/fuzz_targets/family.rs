#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clary_fuzz::family(bytes));
