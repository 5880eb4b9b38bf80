local key, moment = P .. 'try:' .. arg(), arg()
if moment == '' then
  redis.call('UNLINK', key)
else
  local m = redis.call('ZRANGEBYLEX', key, '[' .. moment, '(' .. moment .. '\255', 'LIMIT', 0, 1)[1]
  if m then redis.call('ZREM', key, m) end
end
return { 'ok' }
