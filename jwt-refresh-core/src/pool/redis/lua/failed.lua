-- Ends an exchange that brought none. Answers 1, 0 if the claim was lost, -1 if the account is gone.
--
-- KEYS: the stats, the vault. ARGV: base, owner, name, what is to be kept, pause (µs), 1 if the server refused the account, why,
-- answers that were good, and bad.

local owner, name, kept, pause = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local terms = terms_of(name)
local verdict = end_claim(terms, name, owner, kept, ARGV[8], ARGV[9])
if verdict then return verdict end
note(name, { failures = (tonumber(facts_of(name).failures) or 0) + 1 }, { 'afresh', 'died' })
local till = now + pause
call('ZADD', key('due'), till, name)
local record = call('HGET', key('grants'), name)
if record then
    -- Callers are not kept from a token that lives because it cannot be renewed.
    local _, _, _, expires, generation = struct.unpack(HEADER, record)
    put_grant(name, grant(terms, expires, expires, generation, string.sub(record, AFTER_HEADER)))
end
local confinement = confinement_of(name)
if confinement and not RESTS[confinement.cause] then
    confine(name, terms, ARGV[6] == '1' and 'denied' or confinement.cause, till, ARGV[7])
else
    seat(name, terms)
end
return 1
