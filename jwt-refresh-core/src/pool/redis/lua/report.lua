-- Hears what holders of leases have to say, so many at once.
--
-- KEYS: the stats. ARGV: base, and of each report: its kind, the account, the generation of the token or what tells the report from
-- others, and a number: a time in µs, or of what is held, which.

local function policy(noun)
    return tonumber(call('HGET', key('policy'), noun))
end

local function doubled(first, longest, times)
    return math.min(first * 2 ^ math.min(times - 1, 20), longest)
end

local function rest(name, terms, cause, till)
    local confinement = confinement_of(name)
    if confinement and (not RESTS[confinement.cause] or tonumber(confinement.till) >= till) then return end
    confine(name, terms, cause, till)
end

local report = {}

function report.release(name, terms, _, held)
    if call('ZREM', key('held:' .. name), held) == 1 then seat(name, terms) end
end

function report.extend(name, _, _, held)
    local live = policy('held')
    if call('ZADD', key('held:' .. name), 'XX', 'CH', now + live, held) == 1 then
        call('PEXPIRE', key('held:' .. name), whole(live / 1000))
    end
end

-- Whether a report is heard for the first time, up to a minute after `time`. One that may have been heard and come again later is
-- not.
local function is_first(nonce, time)
    local heard = key('heard')
    call('ZREMRANGEBYSCORE', heard, '-inf', now)
    local till = math.max(now, time) + 60000000
    if time + 60000000 < now or call('ZADD', heard, 'NX', till, nonce) == 0 then return false end
    call('PEXPIRE', heard, whole((call('ZRANGE', heard, -1, -1, 'WITHSCORES')[2] - now) / 1000))
    return true
end

-- A caller that had waited went away. Its place is given back if it was the last, and once: by then another may have it.
function report.unused(name, terms, nonce, from)
    local record, opens = call('HGET', key('grants'), name), call('ZSCORE', key('line'), name)
    if not record or not opens then return end
    local interval = struct.unpack('>d', record)
    if tonumber(opens) ~= tonumber(from) + interval or not is_first(nonce, tonumber(from)) then return end
    each_line(terms, function(suffix) call('ZADD', key('line' .. suffix), from, name) end)
end

local function is_current(name, generation)
    local record = call('HGET', key('grants'), name)
    if not record then return false end
    local _, _, _, _, current = struct.unpack('>ddddd', record)
    return current == tonumber(generation)
end

function report.succeeded(name, _, generation)
    local forgotten = { 'strikes' }
    if is_current(name, generation) then forgotten = { 'strikes', 'relapses', 'renewed' } end
    note(name, {}, forgotten)
end

-- `luck`: the pause is cut by chance, so that not all accounts come back at once.
function report.rejected(name, terms, generation, luck)
    local confinement = confinement_of(name)
    if not is_current(name, generation) or confinement and not RESTS[confinement.cause] then return end
    put_grant(name, nil)
    -- It rests anyway, and has a new token when it returns.
    if confinement then return make_due(name, now) end
    local facts = facts_of(name)
    local renewed = tonumber(facts.renewed)
    if not renewed or renewed + policy('probation') <= now then
        note(name, {}, { 'relapses' })
        return renew_now(name, terms, 'rejected')
    end
    -- The renewal did not help. What it brought is not used again: a login starts afresh.
    local relapses = (tonumber(facts.relapses) or 0) + 1
    note(name, { relapses = relapses, afresh = 1 })
    local pause = doubled(policy('quarantine_first'), policy('quarantine_longest'), relapses)
    local till = math.floor(now + pause * tonumber(luck))
    confine(name, terms, 'rejected', till, 'the access token was rejected with 401, renewed, and rejected again')
    make_due(name, till)
end

function report.rate_limited(name, terms, _, retry_after)
    local pause
    if retry_after == '' then
        local strikes = (tonumber(facts_of(name).strikes) or 0) + 1
        note(name, { strikes = strikes })
        pause = doubled(policy('cool_down_first'), policy('cool_down_longest'), strikes)
    else
        pause = math.min(tonumber(retry_after), policy('longest_retry_after'))
    end
    local till = now + pause
    local opens = call('ZSCORE', key('line'), name)
    if not opens then
        note(name, { opens = whole(math.max(tonumber(facts_of(name).opens) or 0, till)) })
    elseif tonumber(opens) < till then
        each_line(terms, function(suffix) call('ZADD', key('line' .. suffix), till, name) end)
    end
    if pause > policy('patience') then rest(name, terms, 'rate_limited', till) end
end

function report.quota_used_up(name, terms, _, resets_in)
    rest(name, terms, 'quota_used_up', now + (tonumber(resets_in) or policy('quota_pause')))
end

for at = 2, #ARGV, 4 do
    local name = ARGV[at + 1]
    local terms = terms_of(name)
    if terms then report[ARGV[at]](name, terms, ARGV[at + 2], ARGV[at + 3]) end
end
return 1
