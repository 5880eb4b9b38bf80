local node, since, acked, max = arg(), tonumber(arg()), arg(), tonumber(arg())
if redis.call('SISMEMBER', P .. 'fenced', node) == 1 then return { 'fenced' } end
redis.call('HSET', P .. 'nodes', node, redis.call('TIME')[1] .. ' ' .. acked)
return { 'ok', page(since, max) }
