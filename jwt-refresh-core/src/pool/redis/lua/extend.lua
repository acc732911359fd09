-- Holds claims for longer. Answers how many are still the owner's.
--
-- KEYS: the stats. ARGV: base, how long the claim holds (µs), and of each its name and owner.

local kept = 0
for at = 3, #ARGV, 2 do
    if call('HGET', key('claims'), ARGV[at]) == ARGV[at + 1] then
        call('ZADD', key('due'), now + ARGV[2], ARGV[at])
        kept = kept + 1
    end
end
return kept
