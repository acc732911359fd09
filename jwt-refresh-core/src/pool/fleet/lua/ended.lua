-- Deletes the rows of auth workers that have ended. KEYS: workers. ARGV: of each worker its name and
-- the row by which it has ended. One that has written another row since lives.
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 0
