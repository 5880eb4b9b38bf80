local hash, expires, purpose, subject = arg(), arg(), arg(), arg()
local who = #purpose .. ':' .. purpose .. subject -- no two pairs read alike
local function drop(h)
  local old = redis.call('HMGET', P .. 'link:' .. h, 'who', 'expires')
  if not old[1] then return end
  redis.call('UNLINK', P .. 'link:' .. h)
  redis.call('ZREM', P .. 'links', old[2] .. h)
  redis.call('HDEL', P .. 'linkof', old[1])
end
drop(hash)
local older = redis.call('HGET', P .. 'linkof', who)
if older then drop(older) end
redis.call('HSET', P .. 'link:' .. hash, 'expires', expires, 'purpose', purpose, 'subject', subject, 'who', who)
redis.call('ZADD', P .. 'links', 0, expires .. hash)
redis.call('HSET', P .. 'linkof', who, hash)
return { 'ok' }
