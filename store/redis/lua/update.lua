local id, rev, epoch, idle, body, op, entry = arg(), arg(), arg(), tonumber(arg()), arg(), arg(), list()

local first = done(op)
if first and first.kind == 2 and first.ses == id then return { 'ok', first.rev } end
local r = load(id)
if not r then return { 'none' } end
if r.rev ~= rev then return { 'conflict' } end

local was = r.idle
r.idle = math.max(r.idle, math.min(idle, r.abs))
local now = wide(tonumber(rev) + 1, 20)
redis.call('SET', G .. 'r:' .. id, r.fixed .. r.born .. epoch .. now .. wide(r.seen, 15) .. wide(r.idle, 15) .. body, 'KEEPTTL')
if r.idle ~= was then due(r) end
if #entry > 0 then
  entry[#entry + 1] = 'rev'
  entry[#entry + 1] = now
  remember(op, { kind = 2, ses = id, rev = now, seq = append(about(r, entry)) })
end
return { 'ok', now }
