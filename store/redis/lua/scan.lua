return { 'ok', redis.call('ZRANGEBYLEX', G .. 'ids', '(' .. arg(), '+', 'LIMIT', 0, tonumber(arg())) }
