//! Takes what agents send: checks it, commits it, then acknowledges it.

mod rpc;
