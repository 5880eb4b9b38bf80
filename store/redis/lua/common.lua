-- What all scripts share. KEYS[1] is "{prefix}:": every key begins with it and so is in one slot.
-- All checks come before the first write: Redis does not roll a script back.
local P = KEYS[1]
local G = P .. (redis.call('GET', P .. 'gen') or '0') .. ':' -- records and indexes; see revoke.lua

local at = 0
local function arg() at = at + 1 return ARGV[at] end
local function list()
  local l = {}
  for i = 1, tonumber(arg()) do l[i] = arg() end
  return l
end
local function map(pairs)
  local m = {}
  for i = 1, #pairs, 2 do m[pairs[i]] = pairs[i + 1] end
  return m
end
local function whole(n) return string.format('%.0f', n) end
local function wide(n, digits) return string.format('%0' .. digits .. '.0f', n) end
local function count(key) return tonumber(redis.call('GET', P .. key) or '0') end

local ZERO = string.rep('\0', 16)
local HEAD = 200 -- bytes of a record that scripts understand; record.go has the same table

local function parse(id, h)
  return {
    id = id, sub = h:sub(1, 16), act = h:sub(17, 32), par = h:sub(33, 48), root = h:sub(49, 64),
    abs = tonumber(h:sub(65, 79)), kind = h:sub(80, 82), created = tonumber(h:sub(83, 97)),
    fixed = h:sub(1, 110), -- what never changes; with version and selector key
    born = h:sub(111, 130), epoch = h:sub(131, 150), rev = h:sub(151, 170),
    seen = tonumber(h:sub(171, 185)), idle = tonumber(h:sub(186, 200)),
  }
end
local function load(id)
  local h = redis.call('GETRANGE', G .. 'r:' .. id, 0, HEAD - 1)
  return #h == HEAD and parse(id, h) or nil
end
local function live(r, now) return r.idle > now and r.abs > now end

-- A stub is a record's member in the index by end: enough to write its ended entry and to clean up
-- when the record itself has expired.
local function stub(r) return r.id .. r.sub .. r.act .. r.par .. r.root .. wide(r.abs, 15) end
local function unstub(m)
  return {
    id = m:sub(1, 16), sub = m:sub(17, 32), act = m:sub(33, 48), par = m:sub(49, 64), root = m:sub(65, 80),
    abs = tonumber(m:sub(81, 95)),
  }
end

-- lives makes the record expire by itself: SLACK ms after its end at the earliest, counted from the last
-- use, so that neither clock nor skew can make it early. due also marks when to look whether it is over.
local SLACK = 300000
local function lives(r)
  local e = math.min(r.idle, r.abs)
  redis.call('PEXPIRE', G .. 'r:' .. r.id, whole(math.max(0, e - r.seen) + SLACK))
  return e
end
local function due(r) redis.call('ZADD', G .. 'due', whole(lives(r)), stub(r)) end

local function links(r)
  local l = {}
  if r.sub ~= ZERO then l[#l + 1] = 's:' .. r.sub end
  if r.act ~= ZERO then l[#l + 1] = 'a:' .. r.act end
  if r.par ~= ZERO then l[#l + 1] = 'c:' .. r.par end
  if r.root ~= ZERO then l[#l + 1] = 'c:' .. r.root end
  return l
end

local function append(e)
  local seq = whole(redis.call('INCR', P .. 'head'))
  redis.call('XADD', P .. 'log', seq .. '-0', unpack(e))
  return seq
end
-- hint tells the other nodes that something has ended; who may not use channels does without.
local function hint() redis.pcall('PUBLISH', P .. 'ended', '') end
local function about(r, e)
  for name, v in pairs({ ses = r.id, sub = r.sub, act = r.act, par = r.par, root = r.root }) do
    if v ~= ZERO then
      e[#e + 1] = name
      e[#e + 1] = v
    end
  end
  return e
end

-- covers is Entry.Ends.
local function covers(e, r)
  if e.kind == '3' then return e.ses == r.id or e.ses == r.par or e.ses == r.root end
  if e.kind == '5' then return true end
  if e.kind ~= '4' then return false end
  local sub = e.sub or ZERO
  if sub ~= r.sub and (r.act == ZERO or sub ~= r.act) then return false end
  if e.epoch and r.epoch >= e.epoch then return false end
  for i = 1, #(e.exc or ''), 16 do
    if e.exc:sub(i, i + 15) == r.id then return false end
  end
  return true
end

-- finish removes r and then its descendants; those that the entry by covers need none of their own.
local ended, gone = {}, 0
local function finish(r, why, time, by)
  redis.call('UNLINK', G .. 'r:' .. r.id)
  redis.call('ZREM', G .. 'ids', r.id)
  redis.call('ZREM', G .. 'due', stub(r))
  for _, key in ipairs(links(r)) do redis.call('SREM', G .. key, r.id) end
  if not (by and covers(by, r)) then append(about(r, { 'kind', '3', 'why', why, 'time', time })) end
  gone = gone + 1
  if gone <= 1000 then ended[gone] = r.id end
  for _, id in ipairs(redis.call('SMEMBERS', G .. 'c:' .. r.id)) do
    local child = load(id)
    if child then finish(child, 'parent', time, by) end
  end
end

-- Operations: what the first call with an Op did, kept as long as its entry is in the log.
local function done(op)
  if op == ZERO then return nil end
  local v = redis.call('HGET', P .. 'ops', op)
  return v and cmsgpack.unpack(v) or nil
end
local function remember(op, o)
  if op ~= ZERO then redis.call('HSET', P .. 'ops', op, cmsgpack.pack(o)) end
end

-- page is what Log and Poll return. The replication ID changes with every fail-over. A replica that is
-- set to take writes refuses no script by itself, so this does.
local function page(since, max)
  local head, floor = count('head'), count('floor')
  local info = redis.call('INFO', 'replication')
  if not info:match('role:master') then error('READONLY this server is a replica') end
  local replid = info:match('master_replid:(%x+)') or ''
  local now = redis.call('TIME')
  local p = { redis.call('GET', P .. 'id') .. '.' .. replid, head, floor, 0, now[1] * 1000000 + now[2] }
  if max <= 0 then return p end
  if since < floor or since > head then
    p[4] = 1
    return p
  end
  p[6] = redis.call('XRANGE', P .. 'log', whole(since + 1) .. '-0', '+', 'COUNT', max)
  return p
end
