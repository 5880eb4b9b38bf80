local before, max = tonumber(arg()), tonumber(arg())
local to = count('head')
for _, acked in ipairs(redis.call('HVALS', P .. 'readers')) do to = math.min(to, tonumber(acked)) end

local n, last = 0, nil
for _, e in ipairs(redis.call('XRANGE', P .. 'log', '-', '+', 'COUNT', max)) do
  local seq, fields = tonumber(e[1]:match('^%d+')), map(e[2])
  if seq > to or tonumber(fields.time) >= before then break end
  if fields.op then
    local o = done(fields.op)
    if o and tonumber(o.seq) == seq then redis.call('HDEL', P .. 'ops', fields.op) end
  end
  n, last = n + 1, seq
end
if last then
  redis.call('ZREMRANGEBYSCORE', P .. 'bulk', '-inf', last)
  redis.call('XTRIM', P .. 'log', 'MINID', whole(last + 1) .. '-0')
  redis.call('SET', P .. 'floor', whole(last))
end
return { 'ok', n, n == max and 1 or 0 }
