local all = list()
for i = 1, #all, 3 do
  local r = load(all[i])
  if r then
    local seen, idle = r.seen, r.idle
    r.seen = math.max(seen, tonumber(all[i + 1]))
    r.idle = math.max(idle, math.min(tonumber(all[i + 2]), r.abs))
    if r.seen ~= seen or r.idle ~= idle then
      redis.call('SETRANGE', G .. 'r:' .. r.id, 170, wide(r.seen, 15) .. wide(r.idle, 15))
    end
    if r.idle ~= idle then lives(r) end -- the mark stays; see reap.lua
  end
end
return { 'ok' }
