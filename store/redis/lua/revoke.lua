local op, time, id, entry = arg(), arg(), arg(), list()
local e = map(entry)
e.ses = id

local first = done(op)
if first then return { 'ok', first.last or '0', first.count or 0, first.ended or '' } end

local seq
if e.kind == '3' then
  local r = load(id)
  if not r then return { 'ok', whole(count('head')), 0, '' } end
  seq = append(about(r, entry))
  finish(r, e.why, time, e)
else
  seq = append(entry)
  redis.call('ZADD', P .. 'bulk', seq, seq)
end
if e.kind == '4' and e.sub then
  for _, id in ipairs(redis.call('SUNION', G .. 's:' .. e.sub, G .. 'a:' .. e.sub)) do
    local r = load(id)
    if r and covers(e, r) then finish(r, e.why, time, e) end
  end
elseif e.kind == '5' then
  -- Everything ends at once, however much there is: a new generation of keys begins, and sweep.lua
  -- removes the former one.
  gone = redis.call('ZCARD', G .. 'ids')
  ended = redis.call('ZRANGE', G .. 'ids', 0, 999)
  redis.call('RPUSH', P .. 'swept', redis.call('INCR', P .. 'gen') - 1)
end
hint()
local last, ids = whole(count('head')), table.concat(ended)
remember(op, { kind = tonumber(e.kind), seq = seq, last = last, count = gone, ended = ids })
return { 'ok', last, gone, ids }
