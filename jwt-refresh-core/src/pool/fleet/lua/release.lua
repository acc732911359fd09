-- A member gives shares back, or says what calls have cost since. KEYS: released. ARGV: channel of
-- the coordinator, then pairs of field and value.
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PUBLISH', ARGV[1], '')
return 1
