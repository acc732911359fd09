-- Members want new tokens. KEYS: wants. ARGV: channel of the auth workers, then of each account its
-- name, the sequence of the token that does not do any more, and why.
-- Members say again what stands. That is no news.
local is_news = false
for i = 2, #ARGV, 3 do
  local held = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d+')
  if not held or tonumber(held) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2])
    is_news = true
  end
end
if is_news then redis.call('PUBLISH', ARGV[1], '') end
return 1
