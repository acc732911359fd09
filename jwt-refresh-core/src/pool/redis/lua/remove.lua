-- Forgets an account. Answers what auth workers kept of it, or nil if there was none of that name.
--
-- KEYS: the stats, the vault. ARGV: base, name.

local name = ARGV[2]
local terms = terms_of(name)
if not terms then return nil end
put_grant(name, nil)
each_line(terms, function(suffix)
    call('ZREM', key('line' .. suffix), name)
    call('ZREM', key('ring' .. suffix), name)
    call('ZREM', key('order' .. suffix), name)
    count('members' .. suffix, -1)
end)
for _, noun in ipairs({ 'terms', 'confined', 'facts', 'claims', 'used' }) do call('HDEL', key(noun), name) end
for _, noun in ipairs({ 'returning', 'due' }) do call('ZREM', key(noun), name) end
call('DEL', key('held:' .. name))
local kept = call('HGET', KEYS[2], name)
call('HDEL', KEYS[2], name)
call('PUBLISH', base .. ':void', '')
wake()
return kept or ''
