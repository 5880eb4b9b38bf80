local out = { 'ok' }
for i, id in ipairs(list()) do out[i + 1] = redis.call('GET', G .. 'r:' .. id) end
return out
