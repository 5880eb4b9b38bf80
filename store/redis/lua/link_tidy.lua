local now, max = arg(), tonumber(arg())
redis.call('ZREMRANGEBYSCORE', P .. 'tries', '-inf', now:sub(1, 14))
local over = redis.call('ZRANGEBYLEX', P .. 'links', '-', '[' .. now .. string.rep('\255', 32), 'LIMIT', 0, max)
for _, m in ipairs(over) do
  local hash = m:sub(21)
  local who = redis.call('HGET', P .. 'link:' .. hash, 'who')
  if who then redis.call('HDEL', P .. 'linkof', who) end
  redis.call('UNLINK', P .. 'link:' .. hash)
  redis.call('ZREM', P .. 'links', m)
end
return { 'ok', #over == max and 1 or 0 }
