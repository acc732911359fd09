-- A member says how much of quotas counts as spent. KEYS: its reservations. ARGV: which of its words
-- this is, the one before, or nothing if it tells all anew; then pairs of account and value. Returns
-- 0 if Redis has lost the word before. A word that was on its way for long undoes no later one.
local function number(word) return tonumber(string.match(word, '^%d+') or '0') end
local last = redis.call('HGET', KEYS[1], '\n') or ''
if number(last) > number(ARGV[1]) then return 1 end
if ARGV[2] ~= '' and last ~= ARGV[1] and last ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], '\n', ARGV[1])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
