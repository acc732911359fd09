-- What the scripts of a pool share. ARGV[1] is what all of the pool's keys begin with. Times are microseconds on Redis's clock.
-- cjson writes 14 digits of a number, too few for such a time, so times go into JSON as strings.

local base = ARGV[1]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- interval, tolerance, usable until, expires, generation; then flags, and after them the token.
local HEADER = '>dddddB'
local AFTER_HEADER = 42
local NEVER = 9007199254740992
-- Causes for which an account rests until a time, and new tokens would not help.
local RESTS = { rate_limited = true, quota_used_up = true }

local function key(noun)
    return base .. ':pool:' .. noun
end

local function whole(number)
    return string.format('%.0f', number)
end

local function count(noun, by)
    call('HINCRBY', key('stats'), noun, by)
end

local function read(noun, name)
    local json = call('HGET', key(noun), name)
    return json and cjson.decode(json)
end

-- What may be asked of an account, and its tags.
local function terms_of(name)
    return read('terms', name)
end

-- Why an account does not serve, and till when; nil if it does.
local function confinement_of(name)
    return read('confined', name) or nil
end

-- What is remembered of an account that has a history: failures, strikes, relapses, renewed, afresh, died, opens, order.
local function facts_of(name)
    return read('facts', name) or {}
end

local function note(name, changes, forgotten)
    local facts = facts_of(name)
    for fact, value in pairs(changes) do facts[fact] = value end
    for _, fact in ipairs(forgotten or {}) do facts[fact] = nil end
    if next(facts) then
        call('HSET', key('facts'), name, cjson.encode(facts))
    else
        call('HDEL', key('facts'), name)
    end
end

local function each_line(terms, change)
    change('')
    for _, tag in ipairs(terms.tags) do change(':' .. tag) end
end

-- Tells callers that wait, if there are any, that an account may serve them, or that none will.
local function wake()
    if call('DEL', key('waiting')) == 1 then call('PUBLISH', base .. ':free', '') end
end

-- Whether accounts that could serve do so in another order than that of their times: in turn, or by their weights.
local function is_ordered()
    local selection = call('HGET', key('policy'), 'selection')
    return selection and selection ~= 'soonest'
end

-- Takes an account out of its lines; when it may be called next is kept, and its place in the order.
local function leave(name, terms)
    local opens = call('ZSCORE', key('line'), name)
    if not opens then return end
    note(name, { opens = opens, order = call('ZSCORE', key('order'), name) or nil })
    each_line(terms, function(suffix)
        call('ZREM', key('line' .. suffix), name)
        call('ZREM', key('order' .. suffix), name)
    end)
end

-- Whether an account's leases are all held. Those whose holders died are taken back; the next that ends says when to look again.
local function is_full(name, terms)
    if not terms.concurrency then return false end
    local held = key('held:' .. name)
    call('ZREMRANGEBYSCORE', held, '-inf', now)
    if call('ZCARD', held) < terms.concurrency then return false end
    call('ZADD', key('returning'), call('ZRANGE', held, 0, 0, 'WITHSCORES')[2], name)
    return true
end

-- Puts an account where it belongs: into its lines if it serves, else out of them.
local function seat(name, terms)
    local serves = call('HEXISTS', key('confined'), name) == 0 and call('HEXISTS', key('grants'), name) == 1
    if not serves or is_full(name, terms) then return leave(name, terms) end
    if call('ZSCORE', key('line'), name) then return end
    local facts = facts_of(name)
    local opens = facts.opens or whole(now)
    note(name, {}, { 'opens', 'order' })
    each_line(terms, function(suffix) call('ZADD', key('line' .. suffix), opens, name) end)
    if is_ordered() then
        -- It does not make up for the turns that it missed.
        local level = tonumber(call('HGET', key('stats'), 'level') or 0)
        local order = whole(math.max(tonumber(facts.order) or 0, level))
        each_line(terms, function(suffix) call('ZADD', key('order' .. suffix), order, name) end)
    end
    wake()
end

-- Puts an account into quarantine: till a time, or, without one, until it has new tokens, which callers may wait for.
local function confine(name, terms, cause, till, why)
    call('HSET', key('confined'), name, cjson.encode({ cause = cause, till = till and whole(till), why = why }))
    leave(name, terms)
    if till then
        call('ZADD', key('returning'), till, name)
        each_line(terms, function(suffix) call('ZREM', key('ring' .. suffix), name) end)
    else
        call('ZREM', key('returning'), name)
        each_line(terms, function(suffix) call('ZADD', key('ring' .. suffix), terms.place, name) end)
    end
    call('PUBLISH', base .. ':void', '')
    wake()
end

-- Ends a quarantine.
local function lift(name, terms)
    call('HDEL', key('confined'), name)
    call('ZREM', key('returning'), name)
    each_line(terms, function(suffix) call('ZADD', key('ring' .. suffix), terms.place, name) end)
    seat(name, terms)
end

-- Has an account's tokens exchanged at a time, unless somebody is at it.
local function make_due(name, time)
    if call('HEXISTS', key('claims'), name) == 1 then return end
    call('ZADD', key('due'), time, name)
    if time <= now then call('PUBLISH', base .. ':due', '') end
end

local function renew_now(name, terms, cause)
    confine(name, terms, cause)
    make_due(name, now)
end

local function tally(record, by)
    if not record then return end
    local _, _, _, expires = struct.unpack('>dddd', record)
    if expires == NEVER then return end
    count('expiring', by)
    count('expire_ms', whole(by * math.floor(expires / 1000)))
end

-- Writes what a lease of the account gives, or, without a record, takes it away.
local function put_grant(name, record)
    tally(call('HGET', key('grants'), name), -1)
    tally(record, 1)
    if record then
        call('HSET', key('grants'), name, record)
    else
        call('HDEL', key('grants'), name)
    end
end

local function grant(terms, usable, expires, generation, token)
    local flags = (terms.tags[1] and 1 or 0) + (terms.concurrency and 2 or 0) + (terms.usage_cap and 4 or 0)
    flags = flags + (is_ordered() and 8 or 0)
    return struct.pack(HEADER, terms.interval, terms.tolerance, usable, expires, generation, flags) .. token
end

-- Takes an account out whose token has expired. Whether it has.
local function expire(name, terms, record)
    local _, _, usable = struct.unpack('>ddd', record)
    if now < usable then return false end
    local again = tonumber(call('ZSCORE', key('due'), name) or now)
    local pauses = facts_of(name).failures and call('HEXISTS', key('claims'), name) == 0
    if pauses and again > now then
        confine(name, terms, 'expired', again)
    else
        renew_now(name, terms, 'expired')
    end
    return true
end

-- Does what time alone brings about: rests end, accounts in quarantine are tried again, leases of the dead come back. Whether
-- it did anything.
local function ripen()
    local names = call('ZRANGEBYSCORE', key('returning'), '-inf', now, 'LIMIT', 0, 100)
    for _, name in ipairs(names) do
        call('ZREM', key('returning'), name)
        local terms, confinement = terms_of(name), confinement_of(name)
        if not terms then
            -- It was removed.
        elseif not confinement then
            seat(name, terms)
        elseif not RESTS[confinement.cause] then
            confine(name, terms, confinement.cause, nil, confinement.why)
        elseif call('HEXISTS', key('grants'), name) == 1 then
            lift(name, terms)
        else
            renew_now(name, terms, 'expired')
        end
    end
    return #names > 0
end

-- Says that a process lives, and forgets those that do not.
local function beat(worker, role, rate, waiting)
    local workers = key('workers')
    local all = call('HGETALL', workers)
    for at = 1, #all, 2 do
        if tonumber(cjson.decode(all[at + 1]).till) < now then call('HDEL', workers, all[at]) end
    end
    local till = whole(now + 10000000)
    call('HSET', workers, worker, cjson.encode({ role = role, till = till, rate = rate, waiting = waiting }))
end

-- Ends an exchange: gives the claim up, counts the answers, and keeps what its account can be renewed with. Without a verdict it is
-- done; else 0, the claim was lost, or -1, the account is gone.
local function end_claim(terms, name, owner, kept, good, bad)
    if not terms then return -1 end
    if call('HGET', key('claims'), name) ~= owner then return 0 end
    call('HDEL', key('claims'), name)
    count('succeeded', good)
    count('failed', bad)
    if kept == '' then call('HDEL', KEYS[2], name) else call('HSET', KEYS[2], name, kept) end
end

local function until_first(noun)
    local first = call('ZRANGE', key(noun), 0, 0, 'WITHSCORES')
    return first[1] and math.max(tonumber(first[2]) - now, 0)
end
