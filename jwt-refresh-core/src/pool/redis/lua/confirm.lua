-- What a lease that was waited for gives by now: the account's grant, if it still serves, and the time.
--
-- KEYS: the grants, the confined. ARGV: base, name.

if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return nil end
local record = redis.call('HGET', KEYS[1], ARGV[2])
if not record then return nil end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local _, _, usable = struct.unpack('>ddd', record)
if now >= usable then return nil end
return { record, now }
