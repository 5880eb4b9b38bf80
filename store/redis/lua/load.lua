-- By itself, without common.lua, which would take longer than this: every check of a session that a node
-- does not know runs it.
local records = KEYS[1] .. (redis.call('GET', KEYS[1] .. 'gen') or '0') .. ':r:'
local out = { 'ok' }
for i = 2, #ARGV do out[i] = redis.call('GET', records .. ARGV[i]) end
return out
