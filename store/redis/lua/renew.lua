redis.call('SET', P .. 'id', arg())
return { 'ok' }
