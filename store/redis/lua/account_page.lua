local names = redis.call('ZRANGEBYLEX', P .. 'names', arg(), '+', 'LIMIT', 0, tonumber(arg()))
if #names == 0 then return { 'ok', {} } end
return { 'ok', redis.call('HMGET', P .. 'accounts', unpack(names)) }
