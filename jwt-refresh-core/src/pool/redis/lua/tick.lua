-- An auth worker says that it lives, and asks what is due.
--
-- KEYS: the stats. ARGV: base, worker, an epoch to begin, from which on in the order of what is due, how many at most. Answers
-- {now, epoch, µs until there is more to do or -1, names}.

beat(ARGV[2], 'auth', '0', '0')
ripen()
call('HSETNX', key('stats'), 'epoch', ARGV[3])
local names = {}
if tonumber(ARGV[5]) > 0 then
    names = call('ZRANGEBYSCORE', key('due'), '-inf', now, 'LIMIT', ARGV[4], ARGV[5])
end
local due = call('ZRANGEBYSCORE', key('due'), '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
local next = math.min(due and due - now or NEVER, until_first('returning') or NEVER)
return { now, call('HGET', key('stats'), 'epoch'), next < NEVER and next or -1, names }
