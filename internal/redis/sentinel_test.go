package redis

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestSentinel kills a master that a real Sentinel watches. The client finds the replica that takes its place; until then
// each call fails, and at once but for those that probe.
func TestSentinel(t *testing.T) {
	master, replica := labtest.Redis(t, lab.RedisOptions{}), labtest.Redis(t, lab.RedisOptions{})
	host, port, _ := strings.Cut(master.Addr, ":")
	do(t, replica, "REPLICAOF", host, port)
	sentinel := labtest.Redis(t, lab.RedisOptions{Sentinel: master.Addr})
	ctx := labtest.Context(t)
	for !strings.Contains(do(t, replica, "INFO", "replication"), "master_link_status:up") ||
		!strings.Contains(do(t, sentinel, "SENTINEL", "REPLICAS", lab.RedisMaster), "master-link-status\nok") {
		must(t, ctx.Err())
		time.Sleep(20 * time.Millisecond)
	}
	s := patient(master)
	s.Addrs, s.Master = []string{sentinel.Addr}, lab.RedisMaster
	s.Wait, s.LongestWait = 20*time.Millisecond, 20*time.Millisecond
	c := open(t, s)
	if tried, taken, err := ask(c); err != nil || !tried.Hold() || !taken.OK() {
		t.Fatalf("before: %+v, %+v, %v", tried, taken, err)
	}
	must(t, master.Kill())
	kinds := map[Kind]int{}
	for {
		must(t, ctx.Err())
		tried, taken, err := ask(c)
		if kinds[KindOf(err)]++; err == nil {
			if !tried.Hold() || !taken.OK() {
				t.Errorf("after: %+v, %+v", tried, taken)
			}
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if kinds[Held] == 0 || kinds[Odd] != 0 || kinds[Denied] != 0 || kinds[Full] != 0 {
		t.Errorf("%v", kinds)
	}
	if role := do(t, replica, "ROLE"); !strings.HasPrefix(role, "master") {
		t.Errorf("the replica is %q", role)
	}
	if size, err := strconv.Atoi(do(t, replica, "DBSIZE")); err != nil || size != 3 {
		t.Errorf("%d keys on the new master, %v", size, err)
	}
	t.Logf("%v", kinds)
}
