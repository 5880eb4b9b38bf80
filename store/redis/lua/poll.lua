-- A node is kept as when it polled last, how often it has, and what it has acknowledged.
local node, since, acked, max = arg(), tonumber(arg()), tonumber(arg()), tonumber(arg())
if redis.call('SISMEMBER', P .. 'fenced', node) == 1 then return { 'fenced' } end
local p = page(since, max)
local beat, before = (redis.call('HGET', P .. 'nodes', node) or ' 0 0'):match(' (%d+) (%d+)$')
redis.call('HSET', P .. 'nodes', node, redis.call('TIME')[1] .. ' ' .. whole(beat + 1) .. ' ' .. whole(math.max(acked, tonumber(before))))
return { 'ok', p }
