local before, max = tonumber(arg()), tonumber(arg())
local time = whole(before)
for _, m in ipairs(redis.call('ZRANGEBYSCORE', G .. 'due', '-inf', time, 'LIMIT', 0, max)) do
  if redis.call('ZSCORE', G .. 'due', m) then -- else it went with its parent
    local r = unstub(m)
    finish(r, r.abs <= before and 'absolute' or 'idle', time)
  end
end
return { 'ok', gone, #redis.call('ZRANGEBYSCORE', G .. 'due', '-inf', time, 'LIMIT', 0, 1) }
