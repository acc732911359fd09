-- A member says how much of quotas counts as spent. KEYS: its reservations. ARGV: which of its words
-- this is, then pairs of account and value. A word that was on its way for long undoes no later one.
if tonumber(redis.call('HGET', KEYS[1], '\n') or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], '\n', ARGV[1])
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
