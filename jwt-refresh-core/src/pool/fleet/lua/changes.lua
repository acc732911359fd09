-- What has changed since a version. KEYS: any key of the fleet, for its slot. ARGV: version, how
-- many at most; then keys that a member may only read, so that they cannot be KEYS: rows, changes.
-- Returns name, version and row of each, in the order of their versions.
local changed = redis.call('ZRANGEBYSCORE', ARGV[4], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local rows = {}
for i = 1, #changed, 2 do
  table.insert(rows, changed[i])
  table.insert(rows, changed[i + 1])
  table.insert(rows, redis.call('HGET', ARGV[3], changed[i]))
end
return rows
