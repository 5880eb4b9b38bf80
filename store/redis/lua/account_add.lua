local name, value, first = arg(), arg(), arg() == '1'
if first and redis.call('HLEN', P .. 'accounts') > 0 then return { 'limit' } end
if redis.call('HEXISTS', P .. 'accounts', name) == 1 then return { 'exists' } end
redis.call('HSET', P .. 'accounts', name, value)
redis.call('ZADD', P .. 'names', 0, name)
return { 'ok' }
