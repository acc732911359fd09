-- Removes an account. KEYS: accounts, account changes, tokens, state, wants. ARGV: channel of
-- changes, account.
local removed = redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('HDEL', KEYS[5], ARGV[2])
redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[4], 'rev', 1), ARGV[2])
redis.call('PUBLISH', ARGV[1], '')
return removed
