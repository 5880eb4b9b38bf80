local out, all = { 'ok' }, redis.call('HGETALL', P .. 'nodes')
for i = 1, #all, 2 do
  local beat, acked = all[i + 1]:match(' (%d+) (%d+)$')
  if beat ~= '0' then
    local n = #out
    out[n + 1], out[n + 2], out[n + 3] = all[i], acked, beat
    out[n + 4] = redis.call('SISMEMBER', P .. 'fenced', all[i])
  end
end
return out
