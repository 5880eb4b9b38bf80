-- Moments are members of a sorted set without scores: 20 digits in ns, and something unique.
local key, low, now, max, unique, window = P .. 'try:' .. arg(), arg(), arg(), tonumber(arg()), arg(), tonumber(arg())
local gone = low .. '\255'
local last = redis.call('ZREVRANGEBYLEX', key, '+', '(' .. gone, 'LIMIT', max - 1, 1)[1]
if last then return { 'ok', 0, last:sub(1, 20) } end
redis.call('ZADD', key, 0, now .. unique)
redis.call('PEXPIRE', key, whole(math.max(redis.call('PTTL', key), window + SLACK)))
return { 'ok', 1 }
