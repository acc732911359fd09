-- An auth worker tells of its accounts. KEYS: accounts, account changes, tokens, state, wants.
-- ARGV: channel of changes, then of each account its name, its row, the sequence of the worker's
-- last token, that token sealed, and whether the worker registers it. An empty row or token stays
-- as it is. Where another worker has had a later token, what this one says is out of date; and an
-- account that was removed stays so until it is registered again. Returns the revision, and of each
-- row or token that is out of date the account and the sequence of the token that is here.
local count = (#ARGV - 1) / 5
-- The counter may have been lost, and the revisions not.
local last = tonumber(redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '0')
local rev = math.max(tonumber(redis.call('HGET', KEYS[4], 'rev') or '0'), last)
redis.call('HSET', KEYS[4], 'rev', rev + count)
local outdated = {}
for i = 2, #ARGV, 5 do
  local name, row, sequence, token = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local is_there = redis.call('HEXISTS', KEYS[1], name) == 1
  local held = tonumber(string.match(redis.call('HGET', KEYS[3], name) or '', '^%d+') or '0')
  -- No token has such a sequence, and above 2^53 numbers here are not exact.
  if held > 9007199254740992 then held = 0 end
  if (is_there or ARGV[i + 4] == '1') and (not is_there or sequence >= held) then
    if row ~= '' then redis.call('HSET', KEYS[1], name, row) end
    if token ~= '' and sequence >= held then
      redis.call('HSET', KEYS[3], name, ARGV[i + 2] .. ':' .. token)
      held = sequence
    end
  end
  if (token ~= '' or (row ~= '' and is_there)) and sequence < held then
    table.insert(outdated, name)
    table.insert(outdated, string.format('%.0f', held))
  end
  local want = tonumber(string.match(redis.call('HGET', KEYS[5], name) or '', '^%d+'))
  if want and want < held then redis.call('HDEL', KEYS[5], name) end
  rev = rev + 1
  redis.call('ZADD', KEYS[2], rev, name)
end
redis.call('PUBLISH', ARGV[1], '')
return { rev, outdated }
