-- The sessions of a subject, and the records of the first of them; in bulk, since a call a record would
-- cost more than the records.
local subject, most = arg(), tonumber(arg())
local ids = redis.call('SUNION', G .. 's:' .. subject, G .. 'a:' .. subject)
local keys = {}
for i = 1, math.min(most, #ids) do keys[i] = G .. 'r:' .. ids[i] end
return { 'ok', ids, #keys > 0 and redis.call('MGET', unpack(keys)) or {} }
