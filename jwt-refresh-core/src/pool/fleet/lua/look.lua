-- An auth worker looks whether Redis has lost what it was told. KEYS: accounts, account changes,
-- tokens, state. ARGV: the revision that the worker has written last, a new sentinel. Returns
-- seconds and µs of the time, and what stands in the sentinels. Where one is missing or differs, or
-- the revision is behind, that is the new one: each worker sees it, and tells of its accounts.
local time = redis.call('TIME')
local found = redis.call('ZSCORE', KEYS[2], '\n')
local rev = tonumber(redis.call('HGET', KEYS[4], 'rev') or '0')
local is_whole = redis.call('HGET', KEYS[1], '\n') == found and redis.call('HGET', KEYS[3], '\n') == found
if found and is_whole and rev >= tonumber(ARGV[1]) then return { time[1], time[2], found } end
redis.call('HSET', KEYS[1], '\n', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[2], '\n')
redis.call('HSET', KEYS[3], '\n', ARGV[2])
return { time[1], time[2], ARGV[2] }
