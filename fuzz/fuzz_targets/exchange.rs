#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| { relais::fuzzing::exchange(input); });
