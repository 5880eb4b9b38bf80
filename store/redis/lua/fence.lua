local node = arg()
redis.call('SADD', P .. 'fenced', node)
redis.call('HSET', P .. 'nodes', node, redis.call('TIME')[1] .. ' 0 0') -- for sweep to forget it one day
return { 'ok' }
