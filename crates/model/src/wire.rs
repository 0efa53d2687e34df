//! Protobuf messages of the agent link (`proto/garrison/v1/link.proto`) and their limits.

#![allow(missing_debug_implementations, clippy::all, clippy::pedantic, reason = "generated code")]

include!(concat!(env!("OUT_DIR"), "/garrison.v1.rs"));

/// Version this build speaks; a server accepts its own and the one before.
pub const PROTOCOL: u32 = 1;
/// Largest gRPC message either side accepts.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest batch block after decompression.
pub const BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most records in one batch.
pub const BATCH_RECORDS_MAX: u32 = 4096;
/// Path and query free form of the subject alternative name: `garrison://host/host_…`.
pub const IDENTITY_SCHEME: &str = "garrison://host/";
