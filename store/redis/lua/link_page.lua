-- Links in order of expiry, after one of them.
local out = {}
for _, m in ipairs(redis.call('ZRANGEBYLEX', P .. 'links', arg(), '+', 'LIMIT', 0, tonumber(arg()))) do
  local l = redis.call('HMGET', P .. 'link:' .. m:sub(21), 'purpose', 'subject')
  out[#out + 1] = { m, l[1] or '', l[2] or '' }
end
return { 'ok', out }
