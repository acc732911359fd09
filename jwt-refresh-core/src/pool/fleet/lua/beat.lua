-- A member says that it lives. KEYS: demand. ARGV: member, report, whether it joins, whether that
-- is news, channel of the coordinator, the share time in µs that it knows; then keys that a member
-- may only read, so that they cannot be KEYS: state, the rows of its shares, and their versions.
-- Returns seconds and µs of the time, and if the member is known, the share time, the incarnation,
-- the revision of accounts, the version of its shares, and whether the keys of these are there.
local time = redis.call('TIME')
local state = redis.call('HMGET', ARGV[7], 'share_time', 'incarnation', 'rev', 'shares:' .. ARGV[1])
local share_time = state[1] or ARGV[6]
local until_time = string.format('%.0f ', time[1] * 1000000 + time[2] + share_time)
local is_new = redis.call('HSET', KEYS[1], ARGV[1], until_time .. ARGV[2]) == 1
if is_new and ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return time
end
if is_new or ARGV[4] == '1' then redis.call('PUBLISH', ARGV[5], ARGV[1]) end
local is_whole = not state[4] or redis.call('EXISTS', ARGV[8], ARGV[9]) == 2
return { time[1], time[2], share_time, state[2] or '', state[3] or '0', state[4] or '0', is_whole and '1' or '0' }
