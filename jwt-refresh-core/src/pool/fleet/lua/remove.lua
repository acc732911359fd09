-- Removes an account. KEYS: accounts, account changes, tokens, state, wants. ARGV: channel of
-- changes, account.
local removed = redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('HDEL', KEYS[5], ARGV[2])
-- The counter may have been lost, and the revisions not.
local last = tonumber(redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '0')
local rev = math.max(tonumber(redis.call('HGET', KEYS[4], 'rev') or '0'), last) + 1
redis.call('HSET', KEYS[4], 'rev', rev)
redis.call('ZADD', KEYS[2], rev, ARGV[2])
redis.call('PUBLISH', ARGV[1], '')
return removed
