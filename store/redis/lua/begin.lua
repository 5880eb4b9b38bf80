-- Makes the store if there is none, and returns the version of its format.
local id, version = arg(), arg()
redis.call('SET', P .. 'id', id, 'NX')
redis.call('SET', P .. 'format', version, 'NX')
return { 'ok', redis.call('GET', P .. 'format') }
