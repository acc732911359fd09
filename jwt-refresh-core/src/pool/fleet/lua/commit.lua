-- Writes who holds what, unless another worker is the coordinator by now. KEYS: lease, state,
-- demand, released, then rows, changes and reservations of each member that is touched. ARGV: worker,
-- epoch, base of channels, and the plan as JSON: `members` with `name`, `dead`, `fresh` and `rows`
-- (pairs of account and row; an empty row removes), `left` and `changed` (field and value of what was
-- released, and what stood there; an empty value removes), and `learnt`, the incarnation that is
-- learnt now.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[2] then return 0 end
local plan = cjson.decode(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for _, member in ipairs(plan.members) do
  -- One that is thought dead may have said meanwhile that it lives.
  local said = member.dead and redis.call('HGET', KEYS[3], member.name)
  if said and tonumber(string.match(said, '^%d+') or '0') > now then return 2 end
end
for _, left in ipairs(plan.left) do
  -- It may have told meanwhile what it leaves. If this was done already, it is done again.
  local told = redis.call('HGET', KEYS[4], left[1]) or ''
  if told ~= left[3] and told ~= left[2] then return 2 end
end
for i, member in ipairs(plan.members) do
  local rows, changes, last = KEYS[2 + 3 * i], KEYS[3 + 3 * i], 'shares:' .. member.name
  -- Each key has a field of its own, by which is seen whether it was lost since it was begun.
  local is_whole = redis.call('HEXISTS', rows, '\n') == 1 and redis.call('ZSCORE', changes, '\n')
  local is_known = redis.call('HEXISTS', KEYS[2], last) == 1
  if member.dead then
    redis.call('DEL', rows, changes, KEYS[4 + 3 * i])
    redis.call('HDEL', KEYS[3], member.name)
    redis.call('HDEL', KEYS[2], last)
  elseif is_known and not is_whole and not member.fresh then
    -- Where nothing is left, the member sees that, and asks for all that it has.
    redis.call('DEL', rows, changes)
  else
    if member.fresh or not is_known then redis.call('DEL', rows, changes) end
    if member.fresh then table.insert(member.rows, { '\n' .. member.fresh, '' }) end
    redis.call('HSET', rows, '\n', '')
    redis.call('ZADD', changes, 0, '\n')
    local version = tonumber(redis.call('HGET', KEYS[2], 'version') or '0')
    redis.call('HSET', KEYS[2], 'version', version + #member.rows, last, version + #member.rows)
    for at, row in ipairs(member.rows) do
      if row[2] == '' then redis.call('HDEL', rows, row[1])
      else redis.call('HSET', rows, row[1], row[2])
      end
      redis.call('ZADD', changes, version + at, row[1])
    end
  end
  redis.call('PUBLISH', ARGV[3] .. ':to:' .. member.name, '')
end
-- What one step leaves it may take itself.
for _, left in ipairs(plan.left) do redis.call('HSET', KEYS[4], left[1], left[2]) end
for _, changed in ipairs(plan.changed) do
  local is_same = redis.call('HGET', KEYS[4], changed[1]) == changed[3]
  if is_same and changed[2] == '' then redis.call('HDEL', KEYS[4], changed[1])
  elseif is_same then redis.call('HSET', KEYS[4], changed[1], changed[2])
  end
end
if plan.learnt then redis.call('HSET', KEYS[2], 'learnt', plan.learnt) end
return 1
