local subject = arg()
return { 'ok', redis.call('SUNION', G .. 's:' .. subject, G .. 'a:' .. subject) }
