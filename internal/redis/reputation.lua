-- Learn of package reputation. KEYS: the history of a subject. ARGV: now in s (0: the server's clock), and what was seen of
-- each of the five outcomes, in thousandths; all 0 only asks.
-- Answers the twelve numbers of the history: first, seen, day, the five counts, days, good, bad, standing.
local DAY, SLOW, FAST, KEEP, MOST, ONE = 86400, 81000, 2700, 7776000, 1073741824, 1000
local PARTS = {
	1048576, 1026107, 1004120, 982604, 961548, 940944, 920782, 901051,
	881744, 862850, 844361, 826268, 808563, 791237, 774282, 757691,
	741455, 725567, 710020, 694806, 679917, 665348, 651091, 637140,
	623487, 610127, 597053, 584260, 571740, 559489, 547500, 535768,
}
local now = tonumber(ARGV[1])
if now == 0 then now = tonumber(redis.call('TIME')[1]) end

local h = {}
for n in string.gmatch(redis.call('GET', KEYS[1]) or '', '%d+') do h[#h + 1] = tonumber(n) end
if #h ~= 12 then h = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} end
local seen, any = {}, false
for i = 1, 5 do
	seen[i] = tonumber(ARGV[1 + i])
	any = any or seen[i] > 0
end
if not any then return h end

local function fade(c, n)
	local half = math.floor(n / 32)
	if half > 31 then return 0 end
	return math.floor(math.floor(c * PARTS[n % 32 + 1] / 1048576) / 2 ^ half)
end
local function add(a, b) return math.min(a + b, MOST) end
local function weigh(spam, virus, nosuch) return spam + 2 * virus + math.floor(nosuch / 5) end

if h[2] == 0 or now - h[2] >= KEEP then
	h = {now, now, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
end
h[1], h[2], h[3] = math.min(h[1], now), math.min(h[2], now), math.min(h[3], math.floor(now / DAY))
local slow, fast = math.floor(now / SLOW) - math.floor(h[2] / SLOW), math.floor(now / FAST) - math.floor(h[2] / FAST)
for i = 4, 9 do h[i] = fade(h[i], slow) end
h[10], h[11] = fade(h[10], fast), fade(h[11], fast)

for i = 1, 5 do h[3 + i] = add(h[3 + i], seen[i]) end
local today = math.floor(now / DAY)
if seen[1] > 0 and h[3] ~= today then
	h[3], h[9] = today, add(h[9], ONE)
end
h[10] = add(h[10], seen[1])
h[11] = add(h[11], math.min(weigh(seen[2], seen[3], seen[4]), MOST))
h[2] = now

local good, bad, fresh, new = h[4], weigh(h[5], h[6], h[7]), h[10], h[11]
local before, standing = h[12], 0
if before == 2 and new >= ONE / 20 and (new >= 2 * ONE and 2 * new >= fresh or bad >= 5 * ONE and 2 * bad >= good)
	or new >= 5 * ONE and new >= fresh or bad >= 10 * ONE and bad >= good and new >= ONE then
	standing = 2
elseif before == 1 and good >= 3 * ONE and 10 * bad <= good and (new < 2 * ONE or 5 * new <= fresh)
	or h[9] >= 3500 and good >= 10 * ONE and 50 * bad <= good and (new < 500 or 20 * new <= fresh) then
	standing = 1
end
h[12] = standing

local text = {}
for i = 1, 12 do text[i] = string.format('%.0f', h[i]) end -- as Lua writes numbers itself, digits would be lost
redis.call('SET', KEYS[1], table.concat(text, ' '), 'EX', KEEP)
return h
