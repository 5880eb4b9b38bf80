local id, op, time, since, max, order, now = arg(), arg(), arg(), tonumber(arg()), tonumber(arg()), arg(), tonumber(arg())
local replaces, entry, head, body = list(), list(), arg(), arg()
local rec = parse(id, head)

local first = done(op)
if first and first.kind == 1 and first.ses == id then return { 'ok', first.seq, first.ended } end
if redis.call('ZSCORE', G .. 'ids', id) then return { 'exists' } end
if rec.par ~= ZERO then
  local p = load(rec.par)
  if not p or not live(p, tonumber(time)) then return { 'parent' } end
end
if since ~= 0 then
  if since <= count('floor') or since > count('head') + 1 then return { 'superseded' } end
  for _, seq in ipairs(redis.call('ZRANGEBYSCORE', P .. 'bulk', since, '+inf')) do
    local e = redis.call('XRANGE', P .. 'log', seq .. '-0', seq .. '-0')[1]
    if not e or covers(map(e[2]), rec) then return { 'superseded' } end
  end
end

local replaced = {}
for _, r in ipairs(replaces) do replaced[r] = true end
local ancestor = rec.par
while ancestor ~= ZERO do
  if replaced[ancestor] then return { 'parent' } end
  local r = load(ancestor)
  ancestor = r and r.par or ZERO
end
local surplus = {}
if max > 0 and rec.par == ZERO and rec.sub ~= ZERO then
  local others = {}
  for _, other in ipairs(redis.call('SMEMBERS', G .. 's:' .. rec.sub)) do
    local r = load(other)
    if r and r.kind == rec.kind and r.par == ZERO and live(r, now) and not replaced[other] then
      r.key = order == 'oldest' and r.created or r.seen
      others[#others + 1] = r
    end
  end
  if #others >= max then
    if order == 'deny' then return { 'limit' } end
    table.sort(others, function(a, b)
      if a.key ~= b.key then return a.key < b.key end
      return tonumber(a.born) < tonumber(b.born)
    end)
    for i = 1, #others - max + 1 do surplus[i] = others[i] end
  end
end

for _, r in ipairs(replaces) do
  local old = load(r)
  if old then finish(old, 'replaced', time) end
end
local evicted = {}
for _, r in ipairs(surplus) do
  evicted[#evicted + 1] = r.id
  if load(r.id) then finish(r, 'limit', time) end
end
if gone > 0 then hint() end
local seq = append(about(rec, entry))
redis.call('SET', G .. 'r:' .. id, rec.fixed .. wide(tonumber(seq), 20) .. head:sub(131) .. body)
redis.call('ZADD', G .. 'ids', 0, id)
for _, key in ipairs(links(rec)) do redis.call('SADD', G .. key, id) end
due(rec)
local ids = table.concat(evicted)
remember(op, { kind = 1, ses = id, seq = seq, ended = ids })
return { 'ok', seq, ids }
