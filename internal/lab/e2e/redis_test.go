package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

const (
	redisUser     = "gatepost"
	redisPassword = "p-of-a-test"
)

// redisServer is one as docs/redis.md sets it up.
func redisServer(t testing.TB) *lab.Redis {
	return labtest.Redis(t, lab.RedisOptions{User: redisUser, Password: redisPassword})
}

// redisTable is a table of gatepost.toml, with the files that it names. A call may take a second: this is not about a machine
// that has other things to do.
func redisTable(t testing.TB, addresses string, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return fmt.Sprintf("[redis]\naddresses = [%q]\nuser = %q\npassword_file = %q\nsecret_file = %q\ntimeout = \"1s\"\n", addresses, redisUser,
		file("password", redisPassword+"\n"), file("secret", strings.Repeat("5e", 32)+"\n")) + strings.Join(more, "\n") + "\n"
}

// redisDo asks the server itself.
func redisDo(t testing.TB, r *lab.Redis, words ...string) string {
	t.Helper()
	answer, err := r.Do(words...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// redisRow is a daemon whose Redis falls ill, and gets well.
func redisRow(breaks, mends func(t *testing.T, r *lab.Redis)) func(*testing.T) {
	return func(t *testing.T) {
		r := redisServer(t)
		w := begin(t, setup{bootstrap: redisTable(t, "unix:"+r.Socket)})
		w.awaitMetric(t, "gatepost_redis_up", 1)
		b := &broken{w: w, part: "redis", told: "250", metric: "gatepost_redis_failures_total"}
		b.breaks, b.mends = func(t *testing.T) { breaks(t, r) }, func(t *testing.T) { mends(t, r) }
		b.endure(t)
		if up := w.metric(t, "gatepost_redis_up"); up != 1 {
			t.Errorf("redis_up is %v when all is well", up)
		}
		if strings.Contains(w.daemonSaid(), redisPassword) {
			t.Error("the daemon told the password")
		}
	}
}

func redisDead(t *testing.T) {
	redisRow(func(t *testing.T, r *lab.Redis) { must(t, r.Kill()) },
		func(t *testing.T, r *lab.Redis) { must(t, r.Restart(labtest.Context(t))) })(t)
}

func redisStopped(t *testing.T) {
	redisRow(func(t *testing.T, r *lab.Redis) { must(t, r.Pause()) }, func(t *testing.T, r *lab.Redis) { must(t, r.Resume()) })(t)
}

func redisFull(t *testing.T) {
	redisRow(func(t *testing.T, r *lab.Redis) { redisDo(t, r, "CONFIG", "SET", "maxmemory", "1") },
		func(t *testing.T, r *lab.Redis) { redisDo(t, r, "CONFIG", "SET", "maxmemory", "0") })(t)
}

func redisDenied(t *testing.T) {
	become := func(password string) func(t *testing.T, r *lab.Redis) {
		return func(t *testing.T, r *lab.Redis) {
			redisDo(t, r, "ACL", "SETUSER", redisUser, "resetpass", ">"+password)
			redisDo(t, r, "CLIENT", "KILL", "USER", redisUser)
		}
	}
	redisRow(become("another"), become(redisPassword))(t)
}

func redisReplica(t *testing.T) {
	master := labtest.Redis(t, lab.RedisOptions{})
	host, port, err := net.SplitHostPort(master.Addr)
	must(t, err)
	redisRow(func(t *testing.T, r *lab.Redis) { redisDo(t, r, "REPLICAOF", host, port) },
		func(t *testing.T, r *lab.Redis) { redisDo(t, r, "REPLICAOF", "NO", "ONE") })(t)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRedisStrict: the daemon does not start with a Redis that check refuses, or whose files cannot be used, and says which.
func TestRedisStrict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	must(t, os.WriteFile(empty, nil, 0o600))
	for want, table := range map[string]string{
		"redis.tls: \"192.0.2.1:6379\" is not on this machine": "[redis]\naddresses = [\"192.0.2.1:6379\"]\n",
		"redis.password_file: " + empty + ": its first line":   "[redis]\naddresses = [\"127.0.0.1:1\"]\npassword_file = \"" + empty + "\"\n",
		"redis.secret_file: " + empty + " must hold 64":        "[redis]\naddresses = [\"127.0.0.1:1\"]\nsecret_file = \"" + empty + "\"\n",
		"redis.ca_file: " + empty + " holds no certificate":    "[redis]\naddresses = [\"127.0.0.1:1\"]\ntls = true\nca_file = \"" + empty + "\"\n",
		"redis.password_file: open /no/such/file":              "[redis]\naddresses = [\"127.0.0.1:1\"]\npassword_file = \"/no/such/file\"\n",
	} {
		w := newWorld(t, setup{bootstrap: table})
		_, err := lab.StartGatepost(labtest.Context(t), w.dir, lab.GatepostOptions{Config: w.config, Policy: w.policy})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestRedisAbsentAtStart: a Redis that is not there costs a start nothing, and is found when it comes.
func TestRedisAbsentAtStart(t *testing.T) {
	t.Parallel()
	r := redisServer(t)
	must(t, r.Kill())
	w := begin(t, setup{clamav: "off", spamd: "off", bootstrap: redisTable(t, "unix:"+r.Socket)})
	c := w.hello(t)
	if said := c.deliverFrom("alice@example.org", "bob@served.test", "x"); !strings.HasPrefix(said.last(), "250") {
		t.Errorf("without Redis the sender was told %q", said.last())
	}
	c.conn.Close()
	w.awaitMetric(t, "gatepost_redis_up", 0)
	w.redisIs(t, "FAIL redis", 1)
	must(t, r.Restart(labtest.Context(t)))
	w.awaitMetric(t, "gatepost_redis_up", 1)
	w.redisIs(t, "ok   redis", 0)
}

// redisIs wants a line of gatepost status and of gatepost check --live, with which they end.
func (w *world) redisIs(t *testing.T, line string, code int) {
	t.Helper()
	for _, args := range [][]string{{"status"}, {"check", "--live"}} {
		out, errOut, got, err := w.daemon.Command(t.Context(), args...)
		if err != nil || got != code || !strings.Contains(out, line) {
			t.Errorf("%v: %v, exit %d, want %d and %q:\n%s%s", args, err, got, code, line, out, errOut)
		}
		if strings.Contains(out+errOut, redisPassword) {
			t.Errorf("%v tells the password", args)
		}
	}
}

// TestRedisTLS: the daemon speaks to a Redis behind TLS by the files that the document names, and to none that another
// authority vouches for.
func TestRedisTLS(t *testing.T) {
	t.Parallel()
	dir := labtest.Dir(t)
	for _, name := range []string{"good", "other"} {
		certificate, key, err := lab.NewCertificate("redis.example.org")
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name+".pem"), certificate, 0o644))
		must(t, os.WriteFile(filepath.Join(dir, name+".key"), key, 0o644)) // of this test, and read by another user
	}
	addr := keptPort(t).Addr()
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	labtest.Redis(t, lab.RedisOptions{User: redisUser, Password: redisPassword, Settings: []string{
		"tls-port " + port, "tls-cert-file " + filepath.Join(dir, "good.pem"), "tls-key-file " + filepath.Join(dir, "good.key"), "tls-auth-clients no",
	}})
	for name, up := range map[string]float64{"good": 1, "other": 0} {
		table := redisTable(t, addr, "tls = true", "server_name = \"redis.example.org\"", fmt.Sprintf("ca_file = %q", filepath.Join(dir, name+".pem")))
		w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", bootstrap: table})
		if up == 1 {
			w.awaitMetric(t, "gatepost_redis_up", 1)
			continue
		}
		for w.counter(t, "gatepost_redis_failures_total") == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		w.partIs(t, "redis", "certificate")
	}
}
