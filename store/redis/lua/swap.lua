local key, had, old, has, new = arg(), arg() == '1', arg(), arg() == '1', arg()
local v = redis.call('HGET', P .. 'meta', key)
if (v and true or false) ~= had or had and v ~= old then return { 'conflict' } end
if has then
  redis.call('HSET', P .. 'meta', key, new)
else
  redis.call('HDEL', P .. 'meta', key)
end
return { 'ok' }
