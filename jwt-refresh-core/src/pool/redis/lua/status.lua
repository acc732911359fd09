-- How the pool is doing: {now, accounts, those confined with why, the stats, the workers}, the last three as flat lists.
--
-- KEYS: the stats. ARGV: base.

return {
    now,
    call('HLEN', key('terms')),
    call('HGETALL', key('confined')),
    call('HGETALL', key('stats')),
    call('HGETALL', key('workers')),
}
