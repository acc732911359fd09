//! What keeps a call with a fresh token cheap, beside the fast path of `state_cell`: `thread_cache`
//! has each thread's copies of tokens, and `sharded_counter` counts calls. Threads do not share the
//! memory that they write to.

mod sharded_counter;
pub(super) mod thread_cache;

pub(super) use sharded_counter::ShardedCounter;
