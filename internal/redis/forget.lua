-- Forgets a pair or an identity, and notes when, for the nodes that remember it. KEYS: its record, and the note. ARGV: for how
-- many ms the note holds. Answers {how many records there were}.
local t = redis.call('TIME')
redis.call('SET', KEYS[2], string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 'PX', ARGV[1])
return {redis.call('DEL', KEYS[1])}
