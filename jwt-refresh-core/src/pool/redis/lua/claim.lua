-- Claims exchanges that are due, as a lease: whoever dies with one leaves it to be claimed by another.
--
-- KEYS: the stats, the vault. ARGV: base, owner, how long the claim holds (µs), names. Answers {now, and of each that was
-- claimed: {name, what is kept of it or '', 1 if whoever had claimed it died, failures, 1 to log in afresh}}.

local claimed = { now }
for at = 4, #ARGV do
    local name = ARGV[at]
    local owner, due = call('HGET', key('claims'), name), call('ZSCORE', key('due'), name)
    local is_due = due and tonumber(due) <= now
    -- It may be asked twice, if the connection broke.
    if owner ~= ARGV[2] and is_due then
        if owner then note(name, { died = 1 }) end
        call('HSET', key('claims'), name, ARGV[2])
        call('ZADD', key('due'), now + ARGV[3], name)
        owner = ARGV[2]
    end
    if owner == ARGV[2] then
        local facts = facts_of(name)
        local kept = call('HGET', KEYS[2], name) or ''
        table.insert(claimed, { name, kept, facts.died or 0, facts.failures or 0, facts.afresh or 0 })
    end
end
return claimed
