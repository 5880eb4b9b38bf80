return { 'ok', page(tonumber(arg()), tonumber(arg())) }
