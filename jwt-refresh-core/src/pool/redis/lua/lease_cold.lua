-- The second part: all that is rare, caller by caller. Answers of each {name, grant, now, from, held}; else {code, …}: 1 later than
-- the caller waits, 2 nobody serves, 3 wait.

local LATE, NOBODY, WAIT = 1, 2, 3
local place, suffix = ARGV[2], ARGV[3]

local ordered = is_ordered()

-- The first in the order whose time has come. One that has not come up for long may be waiting for its rate, with others like it
-- before those that can serve; so many are passed over.
local function in_order()
    for _, name in ipairs(call('ZRANGE', key('order' .. suffix), 0, 99)) do
        if tonumber(call('ZSCORE', KEYS[1], name) or NEVER) <= now then return name end
    end
end

local function pick()
    if place == '' then return ordered and in_order() or call('ZRANGE', KEYS[1], 0, 0)[1] end
    local ring = key('ring' .. suffix)
    return call('ZRANGEBYSCORE', ring, place, '+inf', 'LIMIT', 0, 1)[1] or call('ZRANGE', ring, 0, 0)[1]
end

local function wait(time)
    call('SET', key('waiting'), '', 'PX', 5000)
    return { WAIT, time or until_first('returning') or -1 }
end

local function has_tag(terms)
    if suffix == '' then return true end
    for _, tag in ipairs(terms.tags) do
        if ':' .. tag == suffix then return true end
    end
    return false
end

-- Nobody is in the line: new tokens may be on their way, or all are in quarantine.
local function nobody()
    if call('EXISTS', key('ring' .. suffix)) == 1 then return wait() end
    local members = call('HGET', key('stats'), 'members' .. suffix) or -1
    local returning = call('ZRANGE', key('returning'), 0, 999, 'WITHSCORES')
    for at = 1, #returning, 2 do
        local name = returning[at]
        local terms, confinement = terms_of(name), confinement_of(name)
        if terms and confinement and has_tag(terms) then
            local till = math.max(tonumber(returning[at + 1]) - now, 0)
            return { NOBODY, tonumber(members), name, till, confinement.cause, confinement.why or '' }
        end
    end
    return { NOBODY, tonumber(members) }
end

-- By weight, an account has its next turn the sooner the heavier it is.
local function take_turn(name, terms)
    local order = tonumber(call('ZSCORE', key('order'), name) or 0)
    local weight = call('HGET', key('policy'), 'selection') == 'weighted' and terms.weight or 1
    call('HSET', key('stats'), 'level', whole(order))
    local next = whole(order + 2 ^ 32 / weight)
    each_line(terms, function(line) call('ZADD', key('order' .. line), next, name) end)
end

local function charge(name, terms, record, opens)
    local interval, tolerance = struct.unpack('>dd', record)
    local at = math.max(opens, now)
    local next = math.max(opens + tolerance, at) + interval - tolerance
    each_line(terms, function(line) call('ZADD', key('line' .. line), next, name) end)
    if ordered then take_turn(name, terms) end
    local held
    if terms.concurrency then
        held = call('HINCRBY', key('stats'), 'held', 1)
        local live = tonumber(call('HGET', key('policy'), 'held'))
        call('ZADD', key('held:' .. name), at + live, held)
        call('PEXPIRE', key('held:' .. name), whole(live / 1000))
        seat(name, terms)
    end
    if terms.usage_cap and call('HINCRBY', key('used'), name, 1) >= terms.usage_cap then
        renew_now(name, terms, 'usage_cap')
    end
    return { name, record, now, at, held }
end

local function lease(longest)
    -- Each round but the last takes one out whose token has expired.
    for _ = 1, 100 do
        local name = pick()
        local opens = name and tonumber(call('ZSCORE', key('line'), name) or '')
        if not opens then
            if not ripen() then return name and wait() or nobody() end
        else
            local terms, record = terms_of(name), call('HGET', KEYS[2], name)
            if not expire(name, terms, record) then
                if opens - now > longest then return { LATE, opens - now } end
                -- Its place would be taken up while the caller waits.
                if terms.concurrency and opens > now then return wait(opens - now) end
                return charge(name, terms, record, opens)
            end
        end
    end
    return wait(1000)
end

local answers = {}
for caller = 1, #ARGV - 3 do
    local last = answers[caller - 1]
    -- Nothing has come free since the one before was told so.
    local is_same = last and (last[1] == NOBODY or last[1] == WAIT)
    answers[caller] = is_same and last or lease(tonumber(ARGV[caller + 3]))
end
return answers
