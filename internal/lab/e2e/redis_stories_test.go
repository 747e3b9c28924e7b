package e2e

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// everyoneWaits is a policy under which each stranger waits for two seconds, from wherever it comes.
const everyoneWaits = "[checks.greylist]\nmode = \"everyone\"\ndelay = \"2s\"\n"

// behindProxy is a listener whose clients say where they come from.
const behindProxy = "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"

// tryFrom is one try to deliver a mail, from an address and a sender, and returns the last reply.
func (w *world) tryFrom(t testing.TB, address, sender string) string {
	t.Helper()
	c := w.proxied(t, "proxied", from(address))
	defer c.conn.Close()
	if banner := c.reply(); !strings.HasPrefix(banner, "220") {
		return banner
	}
	c.want("250", "EHLO client.example.org")
	return c.deliverFrom(sender, "bob@served.test", "x").last()
}

// TestRedisStories plays a stranger at two daemons that share a Redis which is killed, without having kept anything, and
// which then hangs: it waits once, and passes at the one that never saw it.
func TestRedisStories(t *testing.T) {
	r := redisServer(t)
	table := redisTable(t, "unix:"+r.Socket, "nodes = 2") + behindProxy
	var nodes [2]*world
	for i := range nodes {
		nodes[i] = begin(t, setup{offers: "-", clamav: "off", spamd: "off", bootstrap: table, policy: everyoneWaits})
		nodes[i].awaitMetric(t, "gatepost_redis_up", 1)
	}
	tell := func(n int, address, sender, want string) {
		t.Helper()
		if said := nodes[n].tryFrom(t, address, sender); !strings.HasPrefix(said, want) {
			t.Errorf("%s from %s at %d was told %q, want %q", sender, address, n, said, want)
		}
	}
	tell(0, "198.51.100.1", "one@example.org", "451 4.7.1")
	tell(1, "198.51.100.1", "one@example.org", "451 4.7.1")
	must(t, r.Kill())
	must(t, r.Restart(labtest.Context(t)))
	// The one that knew nothing yet finds it back; until it does, whom nobody knows passes.
	for deadline := time.Now().Add(clientTime); !strings.HasPrefix(nodes[0].tryFrom(t, "203.0.113.1", "two@example.org"), "451 4.7.1"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a node does not find its Redis back")
		}
	}
	taught := `gatepost_redis_without_total{what="taught"}`
	for deadline := time.Now().Add(clientTime); nodes[0].metric(t, taught)+nodes[1].metric(t, taught) < 1; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Redis lost all, and was told nothing")
		}
	}
	time.Sleep(2 * time.Second) // the wait of a stranger
	tell(1, "198.51.100.1", "one@example.org", "250")
	tell(0, "198.51.100.1", "one@example.org", "250")
	tell(1, "203.0.113.1", "two@example.org", "250")

	const unknown = `gatepost_redis_without_total{what="unknown"}`
	before := nodes[0].metric(t, unknown)
	must(t, r.Pause())
	tell(0, "192.0.2.1", "three@example.org", "250") // it might have waited at the other
	tell(0, "198.51.100.1", "one@example.org", "250")
	if n := nodes[0].metric(t, unknown) - before; n != 1 {
		t.Errorf("%v were unknown, want 1", n)
	}
	must(t, r.Resume())
	nodes[0].awaitMetric(t, "gatepost_redis_up", 1)
	tell(0, "192.0.2.99", "four@example.org", "451 4.7.1")
}

// TestRedisBothDie: the gateway and a Redis that keeps nothing die at once, as when a machine does. Who waited passes after,
// also at another node, which was told.
func TestRedisBothDie(t *testing.T) {
	r := redisServer(t)
	table := redisTable(t, "unix:"+r.Socket, "nodes = 2") + behindProxy
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", bootstrap: table, policy: everyoneWaits})
	w.awaitMetric(t, "gatepost_redis_up", 1)
	if said := w.tryFrom(t, "198.51.100.1", "one@example.org"); !strings.HasPrefix(said, "451 4.7.1") {
		t.Fatalf("a stranger was told %q", said)
	}
	time.Sleep(2 * time.Second) // its wait; what is remembered is on disk within one
	must(t, w.daemon.Kill())
	must(t, r.Kill())
	must(t, r.Restart(labtest.Context(t)))
	other := begin(t, setup{offers: "-", clamav: "off", spamd: "off", bootstrap: table, policy: everyoneWaits})
	other.awaitMetric(t, "gatepost_redis_up", 1)
	w.start(t)
	for deadline := time.Now().Add(clientTime); w.metric(t, `gatepost_redis_without_total{what="taught"}`) < 1; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Redis was told nothing of what was on disk")
		}
	}
	for name, node := range map[string]*world{"the same": w, "another": other} {
		if said := node.tryFrom(t, "198.51.100.1", "one@example.org"); !strings.HasPrefix(said, "250") {
			t.Errorf("at %s node it was told %q", name, said)
		}
	}
}

// TestRedisSentinel sends mail without a pause while a master that a real Sentinel watches is killed, and its replica takes its
// place. No sender is told anything but that it was accepted or that it has to wait, and who waited before passes after.
func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	master, replica := labtest.Redis(t, lab.RedisOptions{}), labtest.Redis(t, lab.RedisOptions{})
	host, port, err := net.SplitHostPort(master.Addr)
	must(t, err)
	redisDo(t, replica, "REPLICAOF", host, port)
	sentinel := labtest.Redis(t, lab.RedisOptions{Sentinel: master.Addr})
	ctx := labtest.Context(t)
	for !strings.Contains(redisDo(t, replica, "INFO", "replication"), "master_link_status:up") ||
		!strings.Contains(redisDo(t, sentinel, "SENTINEL", "REPLICAS", lab.RedisMaster), "master-link-status\nok") {
		must(t, ctx.Err())
		time.Sleep(20 * time.Millisecond)
	}
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", policy: everyoneWaits,
		bootstrap: fmt.Sprintf("[redis]\naddresses = [%q]\nmaster = %q\n", sentinel.Addr, lab.RedisMaster) + behindProxy})
	w.awaitMetric(t, "gatepost_redis_up", 1)
	said := map[string]int{}
	number := 0
	send := func() {
		number++
		reply := w.tryFrom(t, fmt.Sprintf("51.%d.0.1", number%50), fmt.Sprintf("sender%d@example.org", number%50))
		said[reply[:min(9, len(reply))]]++
		time.Sleep(20 * time.Millisecond) // no limit shall be met
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			if ctx.Err() != nil {
				t.Fatalf("not until now: %s; %v", what, said)
			}
			send()
		}
	}
	for range 50 {
		send()
	}
	if said["451 4.7.1"] == 0 {
		t.Fatalf("nobody waits: %v", said)
	}
	failed := func() float64 { return w.counter(t, "gatepost_redis_failures_total") }
	before := failed()
	must(t, master.Kill())
	until("the daemon tells that Redis is away", func() bool { return failed() > before })
	until("the replica is the master", func() bool { return strings.HasPrefix(redisDo(t, replica, "ROLE"), "master") })
	until("the daemon uses it", func() bool { return w.metric(t, "gatepost_redis_up") == 1 })
	for range 50 {
		send()
	}
	for reply, n := range said {
		if !strings.HasPrefix(reply, "250") && reply != "451 4.7.1" {
			t.Errorf("%d were told %q", n, reply)
		}
	}
	if w.counter(t, "gatepost_redis_held_total") == 0 {
		t.Error("no mail was sent while it was away")
	}
	for n := range 50 { // each of them has waited two seconds since its first try
		if reply := w.tryFrom(t, fmt.Sprintf("51.%d.0.1", n), fmt.Sprintf("sender%d@example.org", n)); !strings.HasPrefix(reply, "250") {
			t.Errorf("sender%d was told %q after the failover", n, reply)
		}
	}
	t.Logf("%d mails: %v; %v calls failed, %v were held back", number, said, failed()-before, w.counter(t, "gatepost_redis_held_total"))
}

// tap stands between the daemon and Redis, and counts the round trips but for those of the daemon's own look.
type tap struct {
	to    string
	mu    sync.Mutex
	trips []string // what was asked
}

func newTap(t *testing.T, to string) (*tap, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	p := &tap{to: to}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p, l.Addr().String()
}

// carry passes on what comes: a question is all that is written before the first octet of its answer is read.
func (p *tap) carry(c net.Conn) {
	defer c.Close()
	r, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer r.Close()
	var mu sync.Mutex
	var asked bytes.Buffer
	go func() {
		defer c.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := r.Read(b)
			mu.Lock()
			if q := asked.String(); q != "" {
				asked.Reset()
				p.mu.Lock()
				p.trips = append(p.trips, q)
				p.mu.Unlock()
			}
			mu.Unlock()
			if _, e := c.Write(b[:n]); err != nil || e != nil {
				return
			}
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		mu.Lock()
		asked.Write(b[:n])
		mu.Unlock()
		if _, e := r.Write(b[:n]); err != nil || e != nil {
			return
		}
	}
}

// asked returns what was asked since the last call of it, without the daemon's own look.
func (p *tap) asked() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.trips {
		if !strings.Contains(q, "gp:e\r\n") && !strings.Contains(q, "$5\r\nhello\r\n") { // nor is a connection's beginning
			out = append(out, q)
		}
	}
	p.trips = nil
	return out
}

// TestRedisRoundTrips counts on the wire, with the daemon and all of its checks, what a stranger's mail costs: the greylist
// and all limits of a recipient are one round trip.
func TestRedisRoundTrips(t *testing.T) {
	r := redisServer(t)
	p, addr := newTap(t, r.Addr)
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", bootstrap: redisTable(t, addr) + behindProxy, policy: everyoneWaits})
	w.awaitMetric(t, "gatepost_redis_up", 1)
	w.tryFrom(t, "198.51.100.1", "one@example.org") // the scripts are sent
	for n := range 3 {
		p.asked()
		c := w.proxied(t, "proxied", from(fmt.Sprintf("198.51.100.%d", n+2)))
		c.reply()
		c.want("250", "EHLO client.example.org")
		c.want("250", fmt.Sprintf("MAIL FROM:<%c@example.org>", 'x'+n)) // nobody's second try, however long this takes
		until := len(p.asked())
		for i := range 3 {
			c.want("451 4.7.1", fmt.Sprintf("RCPT TO:<bob%d@served.test>", i))
			trips := p.asked()
			if len(trips) != 1 {
				t.Errorf("RCPT %d cost %d round trips: %q", i, len(trips), trips)
				continue
			}
			if n := strings.Count(strings.ToLower(trips[0]), "evalsha"); n < 2 || !strings.Contains(trips[0], "gp:g:{") || !strings.Contains(trips[0], "gp:r:{l}") {
				t.Errorf("RCPT %d asked %d things, or not both stores: %q", i, n, trips[0])
			}
			if strings.Contains(trips[0], "served.test") || strings.Contains(trips[0], "198.51.100") || strings.Contains(trips[0], "example.org") {
				t.Errorf("Redis was told who it is: %q", trips[0])
			}
		}
		t.Logf("%d round trips up to MAIL, then one for each recipient", until)
		c.conn.Close()
	}
}
