-- The mark by which nodes know that Redis lost what it kept: the time at which it was made, by the server's clock. It is
-- written each time, so that whoever asks knows that what it writes is kept. KEYS: the mark. ARGV: for how many ms it holds.
-- Answers {the mark, now}, in us.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local mark = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
if not (mark > 0 and mark < 2 ^ 53) then mark = now end
redis.call('SET', KEYS[1], string.format('%.0f', mark), 'PX', ARGV[1])
return {mark, now}
