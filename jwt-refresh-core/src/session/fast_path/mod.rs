//! What keeps a call with a fresh token cheap, beside the check itself: nothing that two threads
//! write to.

mod sharded_counter;
pub(super) mod thread_cache;

pub(super) use sharded_counter::ShardedCounter;
