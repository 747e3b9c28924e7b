-- What a node remembers of a pair and its identity, where it is the more lenient. KEYS: the record of a pair, the passes of
-- its identity, and when a person forgot each of them. ARGV: now in ms (0: the server's clock); of the pair and of the identity each: 1 waits or counts, -1 passed,
-- 0 nothing; since how many ms; for how many ms more it tells something; and of the identity its count.
-- Since when it waits counts by the second, and when it was last seen by the hour: to write for less would be for nothing.
-- Answers {how many of the two were changed}.
local now = tonumber(ARGV[1])
if now == 0 then
	local t = redis.call('TIME')
	now = t[1] * 1000 + math.floor(t[2] / 1000)
end

local function get(key)
	return tonumber(redis.call('GET', key) or 0) or 0
end

-- put keeps a value until it tells nothing any more. A number as Lua writes it by itself would lose digits.
local function put(key, value, ms)
	redis.call('SET', key, string.format('%.0f', value), 'PX', string.format('%.0f', math.max(ms, 1)))
	return 1
end

local lost = get(KEYS[4]) -- what is older than that was forgotten on purpose
local changed = 0
local how, since, left = tonumber(ARGV[2]), now - tonumber(ARGV[3]), tonumber(ARGV[4])
if how ~= 0 and since > math.max(get(KEYS[3]), lost) then
	local r = get(KEYS[1])
	if how < 0 and (r >= 0 or -since < r - 3600000) then
		changed = changed + put(KEYS[1], -since, left)
	elseif how > 0 and (r == 0 or r > since + 1000) then
		changed = changed + put(KEYS[1], since, left)
	end
end
how, since, left = tonumber(ARGV[5]), now - tonumber(ARGV[6]), tonumber(ARGV[7])
if how ~= 0 and since > lost then
	local p = get(KEYS[2])
	if how < 0 and (p >= 0 or -since < p - 3600000) then
		changed = changed + put(KEYS[2], -since, left)
	elseif how > 0 and p == 0 then
		changed = changed + put(KEYS[2], since * 16 + tonumber(ARGV[8]), left)
	end
end
return {changed}
