-- An auth worker tells of its accounts. KEYS: accounts, account changes, tokens, state, wants.
-- ARGV: channel of changes, then of each account its name, its row, the sequence of the worker's
-- last token, that token sealed, and whether the worker registers it. An empty row or token stays
-- as it is. Where another worker has had a later token, what this one says is out of date; and an
-- account that was removed stays so until it is registered again. Returns the revision, and of each
-- account that another worker has registered or had a later token of its name, the sequence of the
-- token that is here now, and the row that was.
local count = (#ARGV - 1) / 5
-- The counter may have been lost, and the revisions not.
local last = tonumber(redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '0')
local rev = math.max(tonumber(redis.call('HGET', KEYS[4], 'rev') or '0'), last)
redis.call('HSET', KEYS[4], 'rev', rev + count)
local others = {}
for i = 2, #ARGV, 5 do
  local name, row, sequence, token = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local is_new = ARGV[i + 4] == '1'
  local former = redis.call('HGET', KEYS[1], name)
  local held = tonumber(string.match(redis.call('HGET', KEYS[3], name) or '', '^%d+') or '0')
  -- No token has such a sequence, and above 2^53 numbers here are not exact.
  if held > 9007199254740992 then held = 0 end
  local is_outdated = sequence < held
  if former and not is_outdated or not former and is_new then
    if row ~= '' then redis.call('HSET', KEYS[1], name, row) end
    if token ~= '' and not is_outdated then
      redis.call('HSET', KEYS[3], name, ARGV[i + 2] .. ':' .. token)
      held = sequence
    end
  end
  if is_outdated and (token ~= '' or row ~= '' and former) or is_new and former then
    table.insert(others, name)
    table.insert(others, string.format('%.0f', held))
    table.insert(others, former)
  end
  local want = tonumber(string.match(redis.call('HGET', KEYS[5], name) or '', '^%d+'))
  if want and want < held then redis.call('HDEL', KEYS[5], name) end
  rev = rev + 1
  redis.call('ZADD', KEYS[2], rev, name)
end
redis.call('PUBLISH', ARGV[1], '')
return { rev, others }
