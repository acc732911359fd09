-- Ends an exchange that brought tokens. Answers 1, 0 if the claim was lost, -1 if the account is gone.
--
-- KEYS: the stats, the vault. ARGV: base, owner, name, token, what is to be kept, usable until, expires, due again (µs), answers
-- that were good, and bad.

local owner, name, token, kept = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local usable, expires, again = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local terms = terms_of(name)
local verdict = end_claim(terms, name, owner, kept, ARGV[9], ARGV[10])
if verdict then return verdict end
local generation = call('HINCRBY', key('stats'), 'issued', 1)
put_grant(name, grant(terms, usable, expires, generation, token))
call('HDEL', key('used'), name)
if again < NEVER then call('ZADD', key('due'), again, name) else call('ZREM', key('due'), name) end
local confinement = confinement_of(name)
if confinement and confinement.cause == 'rejected' then note(name, { renewed = whole(now) }) end
note(name, {}, { 'failures', 'afresh', 'died' })
-- New tokens bring back neither rate nor quota.
if confinement and not RESTS[confinement.cause] then
    lift(name, terms)
else
    seat(name, terms)
end
return 1
