//! The store's scripts, for what must be done without any other command in between.
//!
//! Each may be sent again after a connection broke without an answer: the second run sees what the
//! first one did, and gives the same answer.

use std::sync::LazyLock;

use crate::redis::Script;

/// Returns the entry as `{revision, data}`, or `nil` if there is none, or 1 if a later version of
/// this library wrote it, which says so in the field `format`. If what is there is no entry, sets
/// it aside and returns what it is instead.
///
/// Keys: entry. Arguments: account, longest data, how long what is corrupt is kept (ms), channel,
/// the key that it is kept under. That is none of the keys: while their slot moves to another
/// master of a cluster, no node answers a command for several of which one is not there.
pub(super) static LOAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local function aside(why)
    redis.call('RENAME', KEYS[1], ARGV[5])
    redis.call('PEXPIRE', ARGV[5], ARGV[3])
    redis.call('PUBLISH', ARGV[4], '0')
    return why
end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return nil end
if kind ~= 'hash' then return aside('is a ' .. kind .. ', not a hash') end
if redis.call('HSTRLEN', KEYS[1], 'format') > 0 then return 1 end
if redis.call('HSTRLEN', KEYS[1], 'data') > tonumber(ARGV[2]) then return aside('is too large') end
if redis.call('HSTRLEN', KEYS[1], 'revision') > 20 then return aside('has no revision') end
if redis.call('HSTRLEN', KEYS[1], 'account') ~= #ARGV[1] then return aside('is of another account') end
local held = redis.call('HMGET', KEYS[1], 'account', 'revision', 'data')
if held[1] ~= ARGV[1] then return aside('is of another account') end
if not held[2] or not string.find(held[2], '^[1-9][0-9]*$') then return aside('has no revision') end
if #held[2] == 20 and held[2] > '18446744073709551615' then return aside('has no revision') end
if not held[3] then return aside('has no data') end
return {held[2], held[3]}
",
    )
});

/// Writes the entry if it follows on the one that is there. Returns 1 if it did, 0 if not, 2 if a
/// later version of this library wrote the one that is there.
///
/// `writer` is a random name of the save: by it, the second run of a save that was sent twice is
/// told from the save of another writer.
///
/// Keys: entry. Arguments: revision before ('' if none), revision, data, account, writer, time to
/// live (ms, 0: for ever), channel.
pub(super) static SAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'hash' then
    if redis.call('HSTRLEN', KEYS[1], 'format') > 0 then return 2 end
    local held = redis.call('HMGET', KEYS[1], 'revision', 'writer')
    if held[1] == ARGV[2] and held[2] == ARGV[5] then return 1 end
    if held[1] ~= ARGV[1] or ARGV[1] == '' then return 0 end
elseif kind ~= 'none' or ARGV[1] ~= '' then
    return 0
end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'data', ARGV[3], 'account', ARGV[4], 'writer', ARGV[5])
if ARGV[6] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
redis.call('PUBLISH', ARGV[7], ARGV[2])
return 1
",
    )
});

/// Takes the lease. Returns 0 if the caller has it now, else how long its holder still may (ms).
///
/// A lease that has no time to live is given one, so that it cannot be held for ever.
///
/// Keys: lease. Arguments: owner, time to live (ms).
pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local owner = redis.call('GET', KEYS[1])
if not owner or owner == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 0
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    left = tonumber(ARGV[2])
end
return math.max(left, 1)
",
    )
});

/// Extends the lease. Returns 1, or 0 if the caller holds it no more.
///
/// Keys: lease. Arguments: owner, time to live (ms).
pub(super) static EXTEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
",
    )
});

/// Gives the lease back if the caller still holds it, and announces that to those that wait for it.
///
/// Keys: lease. Arguments: owner, channel.
pub(super) static FREE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], '')
return 1
",
    )
});
