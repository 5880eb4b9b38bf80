-- Moments are members of a sorted set without scores: 20 digits in ns, and something unique. The set
-- of all keys is scored by when, in ms, the last of their moments counts no more.
local name, low, now, max, unique, window = arg(), arg(), arg(), tonumber(arg()), arg(), tonumber(arg())
local key = P .. 'try:' .. name
local gone = low .. '\255'
local last = redis.call('ZREVRANGEBYLEX', key, '+', '(' .. gone, 'LIMIT', max - 1, 1)[1]
if last then return { 'ok', 0, last:sub(1, 20) } end
redis.call('ZREMRANGEBYLEX', key, '-', '(' .. gone) -- one that is used on and on never expires
redis.call('ZADD', key, 0, now .. unique)
redis.call('PEXPIRE', key, whole(math.max(redis.call('PTTL', key), window + SLACK)))
redis.call('ZADD', P .. 'tries', 'GT', whole(tonumber(now:sub(1, 14)) + window + 1), name)
return { 'ok', 1 }
