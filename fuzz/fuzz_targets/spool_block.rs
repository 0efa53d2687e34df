//! A segment of the spool and the records in its blocks.
#![no_main]

use agent::spool::{block, records};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let epoch = 1;
    let mut covered = 0;
    for piece in block::scan(bytes, epoch) {
        covered += match piece {
            block::Piece::Block { offset, header } => {
                let payload = &bytes[offset + block::HEADER_BYTES..offset + header.block_bytes()];
                let read = records::decode(payload, header.count);
                assert!(read.is_none_or(|it| it.len() == header.count as usize));
                header.block_bytes()
            }
            block::Piece::Damage { bytes, .. } | block::Piece::Tail { bytes, .. } => bytes,
        };
    }
    assert_eq!(covered, bytes.len());
    // A CRC keeps almost everything from the decoder: give it the bytes as they are, too.
    let _ = records::decode(bytes, 3);
});
