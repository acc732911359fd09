-- A process says that it lives, and what it has done since it last said so.
--
-- KEYS: the stats. ARGV: base, worker, role, leases a minute, callers that wait, leases since.

beat(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
count('leases', ARGV[6])
ripen()
return 1
