redis.call('HDEL', P .. 'readers', arg())
return { 'ok' }
