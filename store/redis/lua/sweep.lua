-- Removes a piece of a generation of keys that an end of everything left behind, and nodes that have
-- not polled for a day.
local max = tonumber(arg())
local now = tonumber(redis.call('TIME')[1])
local nodes = redis.call('HGETALL', P .. 'nodes')
for i = 1, #nodes, 2 do
  if tonumber(nodes[i + 1]:match('^%d+')) < now - 86400 then
    redis.call('HDEL', P .. 'nodes', nodes[i])
    redis.call('SREM', P .. 'fenced', nodes[i])
  end
end
local gen = redis.call('LINDEX', P .. 'swept', 0)
if not gen then return { 'ok', 0 } end
local old = P .. gen .. ':'
local members = redis.call('ZPOPMIN', old .. 'due', max)
for i = 1, #members, 2 do
  local r = unstub(members[i])
  redis.call('UNLINK', old .. 'r:' .. r.id)
  for _, key in ipairs(links(r)) do redis.call('UNLINK', old .. key) end
end
if #members < 2 * max then
  redis.call('UNLINK', old .. 'ids', old .. 'due')
  redis.call('LPOP', P .. 'swept')
end
return { 'ok', 1 }
