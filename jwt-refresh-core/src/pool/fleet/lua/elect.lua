-- An auth worker asks to be the coordinator, or to stay it. KEYS: lease, state. ARGV: worker, time
-- to live in ms, the epoch that the worker knows, share time in µs, and whether the worker goes on
-- from there: one that has lost its thread begins an epoch, in which no plan of the one before is
-- written any more. Returns the epoch if it is, the incarnation, and whether what Redis holds of
-- shares is to be trusted.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
-- Another Redis, or a replica that took over, may have lost what was written last.
local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
local run = (string.match(info, 'run_id:(%w+)') or '') .. '.' .. (string.match(info, 'master_replid:(%w+)') or '')
local function state(field) return redis.call('HGET', KEYS[2], field) end
local epoch = tonumber(state('epoch') or '0')
local is_same = state('run') == run and epoch >= tonumber(ARGV[3])
-- Its lease may have run out; but nobody else was elected since.
if is_same and epoch == tonumber(ARGV[3]) and ARGV[5] == '1' then
  return { tostring(epoch), state('incarnation') or '', '1' }
end
epoch = math.max(epoch, tonumber(ARGV[3])) + 1
redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', run, 'share_time', ARGV[4])
local incarnation = state('incarnation')
-- One that was not learnt to its end is learnt again.
if is_same and incarnation and state('learnt') == incarnation then return { tostring(epoch), incarnation, '1' } end
incarnation = run .. ':' .. epoch
redis.call('HSET', KEYS[2], 'incarnation', incarnation)
return { tostring(epoch), incarnation, '0' }
