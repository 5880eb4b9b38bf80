local hash, now = arg(), arg()
local l = redis.call('HMGET', P .. 'link:' .. hash, 'expires', 'purpose', 'subject', 'who')
if not l[1] or l[1] <= now then return { 'none' } end
redis.call('UNLINK', P .. 'link:' .. hash)
redis.call('ZREM', P .. 'links', l[1] .. hash)
redis.call('HDEL', P .. 'linkof', l[4])
return { 'ok', l[1], l[2], l[3] }
