local out, all = { 'ok' }, redis.call('HGETALL', P .. 'nodes')
for i = 1, #all, 2 do
  local beat, acked = all[i + 1]:match(' (%d+) (%d+)$')
  if redis.call('SISMEMBER', P .. 'fenced', all[i]) == 0 then
    out[#out + 1], out[#out + 2], out[#out + 3] = all[i], acked, beat
  end
end
return out
