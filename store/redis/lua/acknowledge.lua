local reader, seq = arg(), arg()
local have = redis.call('HGET', P .. 'readers', reader)
if not have or tonumber(have) < tonumber(seq) then redis.call('HSET', P .. 'readers', reader, seq) end
return { 'ok' }
