//! Hands libFuzzer's inputs to the target named by the variable `FUZZ_TARGET`.
#![no_main]
#![expect(clippy::panic, reason = "libFuzzer knows a finding by the panic")]

use std::{env, sync::OnceLock};

use fuzz::Target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = env::var("FUZZ_TARGET").unwrap_or_default();
        fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET names no target: {name:?}"))
    });
    if let Err(error) = target.feed(bytes) {
        panic!("{error:#}");
    }
});
