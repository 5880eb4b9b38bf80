local node = arg()
redis.call('SADD', P .. 'fenced', node)
local kept = (redis.call('HGET', P .. 'nodes', node) or ' 0 0'):match(' %d+ %d+$')
redis.call('HSET', P .. 'nodes', node, redis.call('TIME')[1] .. kept) -- for sweep to forget it one day
return { 'ok' }
