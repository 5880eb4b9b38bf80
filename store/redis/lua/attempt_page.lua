-- Keys with the end of the last of their attempts, in ms, and the moments of all.
local out = {}
for _, name in ipairs(redis.call('ZRANGE', P .. 'tries', arg(), arg())) do
  local moments = {}
  for i, m in ipairs(redis.call('ZRANGE', P .. 'try:' .. name, 0, -1)) do moments[i] = m:sub(1, 20) end
  out[#out + 1] = { name, redis.call('ZSCORE', P .. 'tries', name), moments }
end
return { 'ok', out }
