package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/limit"
)

// patient are settings of a test that is not about time: no call is late however slow the machine is, and after a failure
// nothing is asked for the rest of the test.
func patient(r *lab.Redis) Settings {
	return Settings{Addrs: []string{r.Socket}, Secret: []byte("the secret of a test"), Timeout: time.Second, Wait: time.Hour}
}

func open(t testing.TB, s Settings) *Client {
	t.Helper()
	c, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func do(t testing.TB, r *lab.Redis, words ...string) string {
	t.Helper()
	answer, err := r.Do(words...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

var pair = greylist.Key{Tag: greylist.Tag{1}, Pair: [9]byte{2}}

func charges(subjects ...string) []limit.Charge {
	var out []limit.Charge
	for _, s := range subjects {
		out = append(out, limit.Charge{Key: limit.Key{Subject: s}, Rate: limit.Per(5, time.Hour), Cost: 1})
	}
	return out
}

// ask makes one row of a try and limits, as the RCPT stage does.
func ask(c *Client) (*Tried, *Taken, error) {
	row := c.Row()
	tried := row.Try(pair, greylist.Settings{}, time.Time{})
	taken := row.Take(charges("192.0.2.1", "192.0.2.0/26"))
	return tried, taken, row.Do(context.Background())
}

// counted counts what goes through the connections that it dials. Each turn from reading to writing begins a round trip.
type counted struct {
	dials, trips atomic.Int64
	mu           sync.Mutex
	sent         bytes.Buffer
}

func (c *counted) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		c.dials.Add(1)
		conn = &countedConn{Conn: conn, c: c}
	}
	return conn, err
}

type countedConn struct {
	net.Conn
	c       *counted
	writing bool
}

func (c *countedConn) Write(p []byte) (int, error) {
	if !c.writing {
		c.writing = true
		c.c.trips.Add(1)
	}
	c.c.mu.Lock()
	c.c.sent.Write(p)
	c.c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *countedConn) Read(p []byte) (int, error) {
	c.writing = false
	return c.Conn.Read(p)
}

// TestRowIsOneRoundTrip counts what the greylist and all limits of a stage cost on the wire, the first time, with the
// scripts known, and after the server forgot them.
func TestRowIsOneRoundTrip(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	var n counted
	s := patient(r)
	s.User, s.Password, s.dial = "gatepost", "p-of-a-test", n.dial
	c := open(t, s)
	if err := c.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	trips := func(want int64) {
		t.Helper()
		before := n.trips.Load()
		row := c.Row()
		tried := row.Try(pair, greylist.Settings{}, time.Time{})
		var taken []*Taken
		for i := range 4 {
			subject := fmt.Sprint("client of somebody ", i)
			taken = append(taken, row.Take(append(charges(subject), charges(subject+" as network")...)))
		}
		if err := row.Do(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !tried.Hold() || tried.Err != nil {
			t.Errorf("greylist: %+v", tried)
		}
		for _, a := range taken {
			if !a.OK() || a.Err != nil {
				t.Errorf("limits: %+v", a)
			}
		}
		if got := n.trips.Load() - before; got != want {
			t.Errorf("%d round trips, want %d", got, want)
		}
	}
	trips(2) // the scripts are sent
	trips(1)
	trips(1)
	do(t, r, "SCRIPT", "FLUSH")
	trips(2)
	trips(1)
	if n.dials.Load() != 1 {
		t.Errorf("%d connections", n.dials.Load())
	}
	if h := c.Health(); h.Kind != Fine || h.Reloaded != 10 || h.Calls != 6 || h.Opened != 0 {
		t.Errorf("health %+v", h)
	}
	// Six were asked for, five pass: nothing was counted twice because a script was missing.
	if a, err := c.Limits().Take(context.Background(), charges("client of somebody 0")); err != nil || a.OK() {
		t.Errorf("the sixth: %+v, %v", a, err)
	}
	if strings.Contains(n.sent.String(), "somebody") || !strings.Contains(n.sent.String(), "gp:r:{l}") {
		t.Error("who was counted is told to the server")
	}
	if row := c.Row(); row.Do(context.Background()) != nil || row.Do(context.Background()) != errDone {
		t.Error("a row of nothing, and once more")
	}
}

// TestSick makes a real server sick in each way, and counts: how many of a thousand rows reach it before the breaker holds
// the rest, what they say, and that all of it is whole when it is well again.
func TestSick(t *testing.T) {
	tests := []struct {
		name string
		kind Kind
		fall func(t *testing.T, r *lab.Redis)
		rise func(t *testing.T, r *lab.Redis)
	}{
		{"stopped", Slow,
			func(t *testing.T, r *lab.Redis) { must(t, r.Pause()) },
			func(t *testing.T, r *lab.Redis) { must(t, r.Resume()) }},
		{"killed", Away,
			func(t *testing.T, r *lab.Redis) { must(t, r.Kill()) },
			func(t *testing.T, r *lab.Redis) { must(t, r.Restart(labtest.Context(t))) }},
		{"out of memory", Full,
			func(t *testing.T, r *lab.Redis) { do(t, r, "CONFIG", "SET", "maxmemory", "1") },
			func(t *testing.T, r *lab.Redis) { do(t, r, "CONFIG", "SET", "maxmemory", "0") }},
		{"another password", Denied,
			func(t *testing.T, r *lab.Redis) { password(t, r, "another") },
			func(t *testing.T, r *lab.Redis) { password(t, r, "p-of-a-test") }},
		{"may not run scripts", Denied,
			func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", "-@scripting") },
			func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", "+@scripting") }},
		{"may not touch the keys", Denied,
			func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", "resetkeys", "~other:*") },
			func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", "resetkeys", "~gp:*") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
			s := patient(r)
			s.User, s.Password = "gatepost", "p-of-a-test"
			c := open(t, s)
			if tried, taken, err := ask(c); err != nil || !tried.Hold() || !taken.OK() {
				t.Fatalf("before: %+v, %+v, %v", tried, taken, err)
			}
			test.fall(t, r)
			kinds := map[Kind]int{}
			for range 1000 {
				tried, taken, err := ask(c)
				if test.kind == Full && tried.Err == nil && tried.Outcome == greylist.Early {
					tried.Err, tried.Outcome = err, greylist.Unknown // it only had to be read
				}
				if err == nil || KindOf(tried.Err) != KindOf(err) || KindOf(taken.Err) != KindOf(err) || tried.Outcome != greylist.Unknown || taken.Denied != -1 {
					t.Fatalf("%+v, %+v, %v", tried, taken, err)
				}
				kinds[KindOf(err)]++
			}
			if kinds[test.kind] != 1 || kinds[Held] != 999 {
				t.Errorf("of 1000 rows: %v, want one %v", kinds, test.kind)
			}
			if h := c.Health(); h.Kind != test.kind || h.Opened != 1 || h.Calls != 2 || h.Held != 999 || h.Failures[test.kind] != 1 ||
				h.Err == "" || strings.Contains(h.Err, "p-of-a-test") {
				t.Errorf("health %+v", h)
			}
			test.rise(t, r)
			c.b.mu.Lock()
			c.b.until = time.Now() // an hour later
			c.b.mu.Unlock()
			if tried, taken, err := ask(c); err != nil || !tried.Hold() || !taken.OK() {
				t.Errorf("after: %+v, %+v, %v", tried, taken, err)
			}
			if h := c.Health(); h.Kind != Fine || h.Calls != 3 || h.Err != "" {
				t.Errorf("health after: %+v", h)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// password gives the user another one and ends its connections, as a new configuration does.
func password(t *testing.T, r *lab.Redis, to string) {
	do(t, r, "ACL", "SETUSER", "gatepost", "resetpass", ">"+to)
	do(t, r, "CLIENT", "KILL", "USER", "gatepost")
}

// TestManyAtOnce shows what a server that hangs costs when 200 sessions ask it at the same time: each of them one call's
// time at most, and then nobody any.
func TestManyAtOnce(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	s := patient(r)
	s.Pool = 4
	c := open(t, s)
	must(t, c.Ping(context.Background()))
	must(t, r.Pause())
	var wg sync.WaitGroup
	var asked, held atomic.Int64
	for range 200 {
		wg.Go(func() {
			for range 20 {
				switch _, _, err := ask(c); KindOf(err) {
				case Slow:
					asked.Add(1)
				case Held:
					held.Add(1)
				default:
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
	if asked.Load() > 200 || asked.Load()+held.Load() != 200*20 {
		t.Errorf("%d calls waited, %d were held back", asked.Load(), held.Load())
	}
	if got := c.Health(); got.Opened != 1 {
		t.Errorf("health %+v", got)
	}
}

// TestReplica shows that a replica that takes no writes is known as one, and that the same client goes on when it becomes
// the master, as in a failover.
func TestReplica(t *testing.T) {
	master, r := labtest.Redis(t, lab.RedisOptions{}), labtest.Redis(t, lab.RedisOptions{})
	c := open(t, patient(r))
	host, port, err := net.SplitHostPort(master.Addr)
	must(t, err)
	do(t, r, "REPLICAOF", host, port)
	if _, _, err := ask(c); KindOf(err) != ReadOnly {
		t.Fatalf("a replica: %v", err)
	}
	do(t, r, "REPLICAOF", "NO", "ONE")
	c.b.mu.Lock()
	c.b.until = time.Now()
	c.b.mu.Unlock()
	if tried, taken, err := ask(c); err != nil || !tried.Hold() || !taken.OK() {
		t.Errorf("as master: %+v, %+v, %v", tried, taken, err)
	}
}

// TestFlushed shows that a server that lost everything makes strangers of all, and nothing worse.
func TestFlushed(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	c := open(t, patient(r))
	for range 5 {
		_, taken, err := ask(c)
		must(t, err)
		if !taken.OK() {
			t.Fatal("denied within the burst")
		}
	}
	if tried, taken, _ := ask(c); tried.Outcome != greylist.Early || taken.OK() {
		t.Fatalf("the sixth: %+v, %+v", tried, taken)
	}
	do(t, r, "FLUSHALL")
	if tried, taken, err := ask(c); err != nil || tried.Outcome != greylist.First || !taken.OK() {
		t.Errorf("flushed: %+v, %+v, %v", tried, taken, err)
	}
	if h := c.Health(); h.Opened != 0 {
		t.Errorf("health %+v", h)
	}
}

// TestAbsentAtStart shows that a server that comes later is found.
func TestAbsentAtStart(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	must(t, r.Kill())
	s := patient(r)
	s.Wait, s.LongestWait = time.Millisecond, time.Millisecond
	c := open(t, s)
	if err := c.Ping(context.Background()); KindOf(err) != Away {
		t.Fatalf("absent: %v", err)
	}
	must(t, r.Restart(labtest.Context(t)))
	for ctx := labtest.Context(t); c.Ping(ctx) != nil; time.Sleep(time.Millisecond) {
		must(t, ctx.Err())
	}
}

// TestRestartBehindTLS shows that a server that was restarted costs one call, and not one for each connection of the pool,
// where a connection cannot be seen to be closed.
func TestRestartBehindTLS(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	var n counted // its connections cannot be looked into either
	s := patient(r)
	s.dial, s.Timeout, s.Pool, s.Wait, s.LongestWait = n.dial, time.Second, 4, time.Nanosecond, time.Nanosecond
	c := open(t, s)
	must(t, r.Pause())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _, _, _ = ask(c) })
	}
	for ctx := labtest.Context(t); n.dials.Load() < 4; time.Sleep(time.Millisecond) {
		must(t, ctx.Err())
	}
	must(t, r.Resume())
	wg.Wait()
	must(t, r.Kill())
	must(t, r.Restart(labtest.Context(t)))
	failures := 0
	for range 10 {
		if _, _, err := ask(c); err != nil {
			failures++
		}
	}
	if failures != 1 {
		t.Errorf("%d calls failed, want 1", failures)
	}
}

// TestCallerLeaves shows that a caller that is gone gets its own error, and that Redis is not blamed for it.
func TestCallerLeaves(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	c := open(t, patient(r))
	must(t, c.Ping(context.Background()))
	must(t, r.Pause())
	ctx, leave := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, leave)
	row := c.Row()
	tried := row.Try(pair, greylist.Settings{}, time.Time{})
	if err := row.Do(ctx); !errors.Is(err, context.Canceled) || !errors.Is(tried.Err, context.Canceled) {
		t.Errorf("%v, %v", err, tried.Err)
	}
	if h := c.Health(); h.Opened != 0 {
		t.Errorf("health %+v", h)
	}
}
