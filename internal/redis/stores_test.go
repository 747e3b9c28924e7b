package redis

import (
	"strconv"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/greylist/storetest"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/lab/limittest"
	"gatepost/internal/limit"
	"gatepost/internal/reputation"
	historytest "gatepost/internal/reputation/storetest"
)

// TestGreylist runs what every Store of the greylist must do, on a real server.
func TestGreylist(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	storetest.Run(t, func(t testing.TB) greylist.Store {
		do(t, r, "FLUSHALL")
		s := patient(r)
		s.User, s.Password, s.Cell = "gatepost", "p-of-a-test", "cell-1"
		return open(t, s).Greylist()
	})
}

// age makes all that limits keep older by so many microseconds.
const age = `for _, k in ipairs(redis.call('KEYS', 'gp:r:*')) do
	local left = redis.call('PTTL', k) - math.floor(ARGV[1] / 1000)
	if left <= 0 then
		redis.call('DEL', k)
	else
		redis.call('SET', k, string.format('%.0f', redis.call('GET', k) - ARGV[1]), 'PX', left)
	end
end`

// TestLimits runs what every Store of limits must do, on a real server.
func TestLimits(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	for _, test := range limittest.Cases() {
		t.Run(test.Name, func(t *testing.T) {
			do(t, r, "FLUSHALL")
			s := patient(r)
			s.User, s.Password = "gatepost", "p-of-a-test"
			c := open(t, s)
			var passed time.Duration
			test.Run(t, limittest.World{
				Store: c.Limits(),
				Now:   func() time.Time { return time.Now().Add(passed) }, // the server's clock is this machine's
				Pass: func(d time.Duration) {
					passed += d
					do(t, r, "EVAL", age, "0", strconv.FormatInt(d.Microseconds(), 10))
				},
				Held: func(k limit.Key) time.Duration {
					ms, err := strconv.Atoi(do(t, r, "PTTL", c.limitKey(k)))
					must(t, err)
					if ms < 0 {
						return 0
					}
					return time.Duration(ms+1) * time.Millisecond // to the end of the last one
				},
			})
		})
	}
}

// TestReputation runs what every Store of histories must do, on a real server.
func TestReputation(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	historytest.Run(t, func(t testing.TB) reputation.Store {
		do(t, r, "FLUSHALL")
		s := patient(r)
		s.User, s.Password, s.Cell = "gatepost", "p-of-a-test", "cell-1"
		return open(t, s).Reputation()
	})
}

// TestKeysAreSmall shows what stands in the server: numbers under short keys, each of which ends.
func TestKeysAreSmall(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	c := open(t, patient(r))
	_, _, err := ask(c)
	must(t, err)
	for _, key := range []string{c.pairKey(pair), c.limitKey(charges("192.0.2.1")[0].Key)} {
		if len(key) > 32 || do(t, r, "OBJECT", "ENCODING", key) != "int" {
			t.Errorf("%s: %s", key, do(t, r, "OBJECT", "ENCODING", key))
		}
		if ms, err := strconv.Atoi(do(t, r, "PTTL", key)); err != nil || ms <= 0 {
			t.Errorf("%s ends in %d ms, %v", key, ms, err)
		}
	}
}
