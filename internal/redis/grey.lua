-- Decide of package greylist. KEYS: the record of a pair, the passes of its identity, and when a person forgot each of them.
-- ARGV: now in ms (0: the server's clock), delay, window, keep, passes, within, apart; times in ms.
-- Answers {outcome, wait in ms, waited in ms, since how many ms the pair is forgotten, and its identity; -1: it is not}.
local now = tonumber(ARGV[1])
if now == 0 then
	local t = redis.call('TIME')
	now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local delay, window, keep = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most, within, apart = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local kept = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local function number(i)
	return tonumber(kept[i] or 0) or 0
end

local function ago(i)
	local at = number(i)
	if at <= 0 then return -1 end
	return math.max(now - at, 0)
end

-- put keeps a value until it tells nothing any more. A number as Lua writes it by itself would lose digits.
local function put(key, value, ms)
	redis.call('SET', key, string.format('%.0f', value), 'PX', string.format('%.0f', math.max(ms, 1)))
end

local rawp = number(2)
local p = rawp
if p > 0 then
	local since = math.min(math.floor(p / 16), now)
	p = since * 16 + p % 16
	if now - since >= within then p = 0 end
elseif p < 0 then
	p = math.max(p, -now)
	if now + p >= keep then p = 0 end
end
if p < 0 and most > 0 then
	put(KEYS[2], -now, keep)
	return {5, 0, 0, ago(3), ago(4)}
end

local rawr = number(1)
local r = rawr
if r > 0 then
	r = math.min(r, now)
	if now - r >= window then r = 0 end
elseif r < 0 then
	r = math.max(r, -now)
	if now + r >= keep then r = 0 end
end

local answer
if r == 0 then
	r, answer = now, {1, delay, 0}
elseif r < 0 then
	r, answer = -now, {4, 0, 0}
elseif now - r < delay then
	answer = {2, delay - (now - r), 0}
else
	answer = {3, 0, now - r}
	r = -now
	if most >= 0 then
		if p <= 0 then p = now * 16 end
		if now - math.floor(p / 16) >= p % 16 * apart then
			p = p + 1
			if p % 16 >= most then p = -now end
		end
	end
end

if r > 0 and r ~= rawr then
	put(KEYS[1], r, r + window - now)
elseif r < 0 then
	put(KEYS[1], r, r + keep + now) -- each use extends it
end
if p ~= rawp then
	if p == 0 then
		redis.call('DEL', KEYS[2])
	elseif p > 0 then
		put(KEYS[2], p, math.floor(p / 16) + within - now)
	else
		put(KEYS[2], p, p + keep + now)
	end
end
answer[4], answer[5] = ago(3), ago(4)
return answer
