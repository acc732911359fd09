-- A member ends: it gives all shares back, and may not be given any. KEYS: demand, released. ARGV:
-- channel of the coordinator, member, its last report, then pairs of field and value of what is
-- released.
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then redis.call('HSET', KEYS[1], ARGV[2], '0 ' .. ARGV[3]) end
redis.call('PUBLISH', ARGV[1], '')
return 1
