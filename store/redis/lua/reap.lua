-- A touch moves a session's end and not its mark, so that many that are marked live on: their marks are
-- put right.
local before, max = tonumber(arg()), tonumber(arg())
local time = whole(before)
for _, m in ipairs(redis.call('ZRANGEBYSCORE', G .. 'due', '-inf', time, 'LIMIT', 0, max)) do
  if redis.call('ZSCORE', G .. 'due', m) then -- else it went with its parent
    local r = unstub(m)
    local now = load(r.id)
    if now and live(now, before) then
      redis.call('ZADD', G .. 'due', whole(math.min(now.idle, now.abs)), m)
    else
      finish(r, r.abs <= before and 'absolute' or 'idle', time)
    end
  end
end
return { 'ok', gone, #redis.call('ZRANGEBYSCORE', G .. 'due', '-inf', time, 'LIMIT', 0, 1) }
