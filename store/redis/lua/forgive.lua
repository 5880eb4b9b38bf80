local name, moment = arg(), arg()
local key = P .. 'try:' .. name
if moment == '' then
  redis.call('UNLINK', key)
  redis.call('ZREM', P .. 'tries', name)
else
  local m = redis.call('ZRANGEBYLEX', key, '[' .. moment, '(' .. moment .. '\255', 'LIMIT', 0, 1)[1]
  if m then redis.call('ZREM', key, m) end
end
return { 'ok' }
