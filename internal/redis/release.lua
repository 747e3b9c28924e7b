-- Release of package greylist. KEYS: the record of a pair. ARGV: now in ms (0: the server's clock), window, keep.
-- Answers {1} if it waited.
local now = tonumber(ARGV[1])
if now == 0 then
	local t = redis.call('TIME')
	now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local r = math.min(tonumber(redis.call('GET', KEYS[1]) or 0) or 0, now)
if r <= 0 or now - r >= tonumber(ARGV[2]) then return {0} end
redis.call('SET', KEYS[1], string.format('%.0f', -now), 'PX', ARGV[3])
return {1}
