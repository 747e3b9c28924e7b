package shaping

import (
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/greylist/storetest"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/limit"
	"gatepost/internal/redis"
)

// settings are of a test that is not about time.
func settings(r *lab.Redis) redis.Settings {
	return redis.Settings{Addrs: []string{r.Socket}, User: "gatepost", Password: "p-of-a-test", Secret: []byte("the secret of a test"),
		Timeout: time.Second, Wait: time.Nanosecond, LongestWait: time.Nanosecond}
}

// node is a process that shares the Redis.
func node(t testing.TB, r *lab.Redis, o Options) *Stores {
	t.Helper()
	c, err := redis.Open(settings(r))
	if err != nil {
		t.Fatal(err)
	}
	s := New(limit.NewMemory(0), greylist.NewMemory(0))
	s.Share(c, o)
	t.Cleanup(func() { s.Close() })
	return s
}

func server(t testing.TB) *lab.Redis {
	return labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
}

func do(t testing.TB, r *lab.Redis, words ...string) string {
	t.Helper()
	answer, err := r.Do(words...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestSharedGreylist runs what every Store of the greylist must do, with Redis, and with one that is away all the time.
func TestSharedGreylist(t *testing.T) {
	r := server(t)
	t.Run("there", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) greylist.Store {
			do(t, r, "FLUSHALL")
			return node(t, r, Options{}).Greylist()
		})
	})
}
