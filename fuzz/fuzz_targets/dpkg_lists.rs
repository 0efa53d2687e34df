//! File lists and diversions of dpkg.
#![no_main]

use agent::packages::dpkg;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dpkg::parse_list(bytes, |path| assert!(path.starts_with(b"/")));
    dpkg::parse_diversions(bytes, |from, to, _| {
        assert!(from.starts_with(b"/") && to.starts_with(b"/"));
    });
});
