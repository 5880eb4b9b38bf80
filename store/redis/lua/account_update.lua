local name, rev, value = arg(), arg(), arg()
local v = redis.call('HGET', P .. 'accounts', name)
if not v then return { 'none' } end
if v:sub(1, 20) ~= rev then return { 'conflict' } end
redis.call('HSET', P .. 'accounts', name, value)
return { 'ok' }
