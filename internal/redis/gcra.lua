-- Take of package limit, by the server's clock. KEYS: the keys of the charges. ARGV: for each of them interval, burst, cost,
-- and 1 if it only observes, 2 if it only asks, 3 if both.
-- Answers {index of the charge that denies or -1, wait in us, bits of those over, and how far each is ahead in us}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local denied, longest, over, bit = -1, 0, 0, 1
local after, counted = {}, {}
local tats = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
	local at = 4 * i - 3
	local interval, burst, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
	local how = tonumber(ARGV[at + 3])
	local full = interval * burst
	local tat = tonumber(tats[i] or 0) or 0
	if not (tat >= now) then tat = now end -- also of what is no number
	tat = math.min(tat, now + full)
	local new = tat + math.min(cost, burst) * interval
	local wait = new - full - now
	if wait > 0 then
		over = over + bit
		if how % 2 == 0 and wait > longest then denied, longest = i - 1, wait end
		after[i] = tat
	elseif how >= 2 then
		after[i] = tat
	else
		after[i], counted[i] = new, true
	end
	tats[i] = tat
	bit = bit * 2
end
local answer = {denied, longest, over}
for i = 1, #KEYS do
	if denied >= 0 then
		answer[3 + i] = tats[i] - now
	else
		answer[3 + i] = after[i] - now
		if counted[i] then
			-- A number as Lua writes it by itself would lose digits.
			redis.call('SET', KEYS[i], string.format('%.0f', after[i]),
				'PX', string.format('%.0f', math.ceil((after[i] - now) / 1000)))
		end
	end
end
return answer
