//! The link to the server: one stream, held open for as long as the agent lives.

mod rpc;
