//! Sockets as the kernel tells them: sock_diag answers and `/proc/net` tables.
#![no_main]

use agent::collect::port::socket;
use engine::ports::Protocol;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut found = Vec::new();
    let _ = socket::parse_answer(Protocol::Tcp, bytes, &mut found);
    let _ = socket::parse_table(Protocol::Udp, bytes, &mut found);
    assert!(found.iter().all(|it| it.port != 0));
});
