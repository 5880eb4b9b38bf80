redis.call('SADD', P .. 'fenced', arg())
return { 'ok' }
