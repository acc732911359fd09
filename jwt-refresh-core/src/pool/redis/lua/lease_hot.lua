-- For so many callers at once: picks the accounts of a line that can serve soonest, charges their rates, and gives their tokens with
-- the times from which on they may be used.
--
-- KEYS: the line, the grants. ARGV: base, the place on the ring of the key that the callers gave or nothing, the line's suffix, and
-- of each caller how long it waits at most (µs).
--
-- This first part is all that runs most of the time: when accounts have nothing but a rate. It answers {now, and of each caller:
-- name, from, grant}, the grant as the caller's number if one before has the same.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- Given as a number, a time would be written with `%.17g`, which takes several times as long as `%d`.
local unpack_numbers, byte, format = struct.unpack, string.byte, string.format

-- Without the tables that many callers take.
local function grant_one()
    local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    local name = first[1]
    if not name then return nil end
    local record, opens = redis.call('HGET', KEYS[2], name), tonumber(first[2])
    local interval, tolerance, usable = unpack_numbers('>ddd', record)
    local from = opens > now and opens or now
    if now >= usable or byte(record, 41) ~= 0 or from - now > tonumber(ARGV[4]) then return nil end
    local arrival = opens + tolerance
    local next = (arrival > from and arrival or from) + interval - tolerance
    redis.call('ZADD', KEYS[1], format('%d', next), name)
    return { now, name, from, record }
end

local function grant_all()
    local callers = #ARGV - 3
    local first = redis.call('ZRANGE', KEYS[1], 0, callers - 1, 'WITHSCORES')
    local accounts = #first / 2
    if accounts == 0 then return nil end
    local names, opens, order = {}, {}, {}
    for at = 1, accounts do
        names[at], opens[at], order[at] = first[2 * at - 1], tonumber(first[2 * at]), at
    end
    local records = redis.call('HMGET', KEYS[2], unpack(names))
    local answer, given = { now }, {}
    local head, tail = 1, accounts
    for caller = 1, callers do
        local account = order[head]
        local record = records[account]
        local interval, tolerance, usable = unpack_numbers('>ddd', record)
        if now >= usable or byte(record, 41) ~= 0 then return nil end
        local from = now
        if opens[account] > now then
            from = opens[account]
            if from - now > tonumber(ARGV[caller + 3]) then return nil end
        end
        local arrival = opens[account] + tolerance
        local next = (arrival > from and arrival or from) + interval - tolerance
        opens[account] = next
        answer[3 * caller - 1], answer[3 * caller] = names[account], from
        answer[3 * caller + 1] = given[account] or record
        given[account] = caller
        -- Back into the order: mostly to its end.
        local place = tail + 1
        while place > head + 1 and opens[order[place - 1]] > next do
            order[place] = order[place - 1]
            place = place - 1
        end
        order[place] = account
        head, tail = head + 1, tail + 1
    end
    local charges = {}
    for account in pairs(given) do
        charges[#charges + 1] = format('%d', opens[account])
        charges[#charges + 1] = names[account]
    end
    redis.call('ZADD', KEYS[1], unpack(charges))
    return answer
end

if ARGV[2] == '' then
    local answer = #ARGV == 4 and grant_one() or grant_all()
    if answer then return answer end
end
