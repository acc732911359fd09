-- Takes in accounts, or changes their terms.
--
-- KEYS: the stats. ARGV: base, and of each account: its name, its terms.

local function members(terms, by)
    each_line(terms, function(suffix) count('members' .. suffix, by) end)
end

-- The same account, by other terms.
local function change(name, old, terms)
    local was_confined = confinement_of(name)
    leave(name, old)
    each_line(old, function(suffix) call('ZREM', key('ring' .. suffix), name) end)
    local record = call('HGET', key('grants'), name)
    if record then
        local _, _, usable, expires, generation = struct.unpack(HEADER, record)
        put_grant(name, grant(terms, usable, expires, generation, string.sub(record, AFTER_HEADER)))
    end
    members(old, -1)
    members(terms, 1)
    if not was_confined or not was_confined.till then
        each_line(terms, function(suffix) call('ZADD', key('ring' .. suffix), terms.place, name) end)
    end
    seat(name, terms)
end

for at = 2, #ARGV, 2 do
    local name, json = ARGV[at], ARGV[at + 1]
    local old = call('HGET', key('terms'), name)
    if old ~= json then
        local terms = cjson.decode(json)
        call('HSET', key('terms'), name, json)
        if old then
            change(name, cjson.decode(old), terms)
        else
            members(terms, 1)
            renew_now(name, terms, 'joining')
        end
    end
end
return 1
