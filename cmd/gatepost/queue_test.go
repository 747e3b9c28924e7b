package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/spool"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// spools is a policy whose routes lead nowhere, so that what is in the spool stays there.
const spools = `[queue]
notices_via = "out"
notice_language = "de"
[[route]]
name = "in"
when_down = "spool"
next_hop = [{ host = "127.0.0.1", port = 1 }]
[[route]]
name = "out"
next_hop = [{ host = "127.0.0.1", port = 1 }]
[[domain]]
name = "example.org"
route = "in"
`

// told keeps what the journal tells.
type told struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *told) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *told) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// spoolWorld is the part of a daemon that has to do with the spool, with its control socket.
type spoolWorld struct {
	*daemon
	dir  string // of both documents
	said *told
	stop func()
}

func newSpoolWorld(t *testing.T, policy string) *spoolWorld {
	t.Helper()
	dir := documents(t, "[spool]\nreserve = \"16M\"\n", policy)
	w := &spoolWorld{dir: dir, said: new(told)}
	w.open(t)
	return w
}

// open makes the daemon, as serve does.
func (w *spoolWorld) open(t *testing.T) {
	t.Helper()
	c, problems := config.Load(w.dir, sections())
	if c == nil {
		t.Fatal(problems)
	}
	log := slog.New(slog.DiscardHandler)
	p, err := newParts(c.Bootstrap, log)
	if err != nil {
		t.Fatal(err)
	}
	first, err := assemble(c, p)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{configPath: w.dir, bootstrap: c.Bootstrap, started: time.Now(), ids: new(gateway.IDs), log: log, parts: p,
		journal: journal.New(journal.Options{Sinks: []journal.Sink{journal.NewWriter("test", w.said, 0)}})}
	d.now.Store(first)
	d.document.Store(c)
	d.openSpool()
	if d.queue == nil {
		t.Fatal(d.spoolError)
	}
	w.daemon = d
	socket, err := control.Listen(c.Bootstrap.Control.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := control.Serve(ctx, socket, d.verbs()); err != nil {
			t.Error(err)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		first.close()
		d.spoolLock.Close()
		if err := d.journal.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
}

func spoolAddress(text string) (a gateway.Address) { _ = a.UnmarshalText([]byte(text)); return a }

// put takes a message into the spool.
func (w *spoolWorld) put(t *testing.T, from, to, route string, notify bool) gateway.ID {
	t.Helper()
	id := w.ids.Next()
	text := fmt.Sprintf("X-Gatepost-Verdict: accept\r\nFrom: <%s>\r\nMessage-ID: <%s@x>\r\n\r\n.to %s\r\n", from, id, to)
	err := w.queue.Put(t.Context(), &gateway.Delivery{ID: id, Route: route, From: spoolAddress(from),
		Rcpts:   []gateway.Recipient{{Address: spoolAddress(to), Route: route, Verified: true}},
		Content: gateway.Content{Parts: []io.Reader{strings.NewReader(text)}, Size: int64(len(text))}},
		gateway.Custody{Arrived: time.Now(), Notify: notify, Subject: "hello", Why: "127.0.0.1:1 refused"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// listed asks for what a filter picks.
func (w *spoolWorld) listed(t *testing.T, args ...string) []spool.Listed {
	t.Helper()
	code, out, errOut := gatepost(t, append([]string{"queue", "list", "--json", "--config", w.dir}, args...)...)
	if code != cli.Done {
		t.Fatalf("list %v: %d, %s", args, code, errOut)
	}
	var all []spool.Listed
	for line := range strings.Lines(out) {
		var l spool.Listed
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, l)
	}
	return all
}

// TestQueueVerbs drives each verb of the command line through the socket of a daemon.
func TestQueueVerbs(t *testing.T) {
	w := newSpoolWorld(t, spools)
	a := w.put(t, "ann@x.example", "bob@example.org", "in", true)
	b := w.put(t, "ann@x.example", "carol@example.org", "in", false)
	c := w.put(t, "", "dave@example.org", "in", false)
	queue := func(want int, line string) (out, errOut string) {
		t.Helper()
		code, out, errOut := gatepost(t, append(append([]string{"queue"}, strings.Fields(line)...), "--config", w.dir)...)
		if code != want {
			t.Fatalf("queue %s: %d, want %d: %s%s", line, code, want, out, errOut)
		}
		return out, errOut
	}
	if all := w.listed(t); len(all) != 3 || all[0].ID != a || all[2].ID != c {
		t.Fatalf("listed %+v", all)
	}
	for filter, want := range map[string]int{"--from ANN@": 2, "--from <>": 1, "--to carol": 1, "--route in": 3, "--route out": 0, "--state dead": 0, "--older 1h": 0,
		"--older 0s": 3, "--id " + b.String(): 1} {
		if n := len(w.listed(t, strings.Fields(filter)...)); n != want {
			t.Errorf("%s picks %d, want %d", filter, n, want)
		}
	}
	out, _ := queue(cli.Done, "show "+a.String())
	for _, want := range []string{a.String(), "<ann@x.example>", "bob@example.org: pending", "gatepost trace"} {
		if !strings.Contains(out, want) {
			t.Errorf("show: %q is not in\n%s", want, out)
		}
	}
	if raw, _ := queue(cli.Done, "show --raw "+a.String()); !strings.HasSuffix(raw, "\r\n\r\n.to bob@example.org\r\n") {
		t.Errorf("raw: %q", raw)
	}

	// Nothing is done to many without being told so, and nothing without a filter.
	if _, said := queue(cli.Usage, "hold --route in"); !strings.Contains(said, "picks 3 messages; add --all") {
		t.Error(said)
	}
	queue(cli.Usage, "delete --all")
	queue(cli.Usage, "delete")
	queue(cli.Usage, "hold nonsense")
	queue(cli.Usage, "reroute "+a.String())
	if _, said := queue(cli.Found, "reroute --to-route nowhere "+a.String()); !strings.Contains(said, `no route "nowhere"`) {
		t.Error(said)
	}
	if out, said := queue(cli.Done, "delete --route in --dry-run"); strings.Count(out, "\n") != 3 || !strings.Contains(said, "3 messages would be changed") || len(w.listed(t)) != 3 {
		t.Errorf("dry run: %s%s", out, said)
	}

	queue(cli.Done, "hold --route in --all")
	if n := len(w.listed(t, "--state", "held")); n != 3 {
		t.Errorf("%d held", n)
	}
	queue(cli.Found, "hold "+a.String()) // it is
	if out, _ := queue(cli.Done, "release --json "+a.String()+" "+b.String()); strings.Count(out, "\n") != 2 {
		t.Errorf("release: %s", out)
	}
	queue(cli.Done, "reroute --to-route out "+b.String())
	if l := w.listed(t, "--route", "out"); len(l) != 1 || l[0].ID != b {
		t.Errorf("rerouted: %+v", l)
	}
	queue(cli.Done, "retry "+a.String())

	// Bounced, the one whose sender was authenticated becomes a notice, and the other a dead letter.
	queue(cli.Done, "bounce "+a.String()+" "+b.String())
	notices := w.listed(t, "--route", noticeRoute)
	if len(notices) != 1 || notices[0].From != "" || notices[0].To[0] != "ann@x.example" || len(w.listed(t, "--id", a.String())) != 0 {
		t.Fatalf("notices: %+v", notices)
	}
	raw, _ := queue(cli.Done, "show --raw "+notices[0].ID.String())
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil || m.Header.Get("To") != "<ann@x.example>" || m.Header.Get("Auto-Submitted") != "auto-replied" ||
		strings.Contains(raw, "127.0.0.1") || strings.Contains(raw, "X-Gatepost-Verdict") || !strings.Contains(raw, "Final-Recipient: rfc822; bob@example.org") ||
		!strings.Contains(raw, "Nachricht") || !strings.Contains(raw, a.String()) {
		t.Errorf("%v: notice\n%s", err, raw)
	}
	if dead := w.listed(t, "--state", "dead"); len(dead) != 1 || dead[0].ID != b {
		t.Errorf("dead: %+v", dead)
	}
	if ok, said := w.deadHealth(); ok || !strings.Contains(said, "1 dead letters") {
		t.Errorf("dead letters are no alarm: %s", said)
	}
	queue(cli.Done, "delete "+c.String())
	queue(cli.Found, "show "+c.String())
	if _, said := queue(cli.Found, "clear-latch"); !strings.Contains(said, "is not shut") {
		t.Error(said)
	}
	w.stop()
	journal := w.said.text()
	for _, want := range []string{`"kind":"spool_queued","id":"` + a.String(), `"kind":"spool_operator","id":"` + b.String() + `","did":"rerouted","by":"`,
		`"kind":"spool_notified","id":"` + a.String(), `"notice":"` + notices[0].ID.String(), `"kind":"spool_dead","id":"` + b.String(), `"id":"` + c.String() + `","did":"deleted"`} {
		if !strings.Contains(journal, want) {
			t.Errorf("%q is not in the journal:\n%s", want, journal)
		}
	}
}

// TestQueueWithoutDaemon shows that the spool can be read when the daemon is away, that this changes nothing, and that nothing
// else can be done.
func TestQueueWithoutDaemon(t *testing.T) {
	w := newSpoolWorld(t, spools)
	a := w.put(t, "ann@x.example", "bob@example.org", "in", true)
	folder := w.bootstrap.Spool.Dir
	w.stop()
	broken := filepath.Join(folder, "q", "00", "00000-00000-0000.msg")
	if err := os.MkdirAll(filepath.Dir(broken), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, folder)
	code, out, errOut := gatepost(t, "queue", "list", "--config", w.dir)
	if code != cli.Done || !strings.Contains(out, a.String()) || !strings.Contains(errOut, "the daemon does not run") || strings.Contains(errOut, "nothing more is taken") {
		t.Errorf("list: %d\n%s%s", code, out, errOut)
	}
	if code, out, _ := gatepost(t, "queue", "show", "--raw", a.String(), "--config", w.dir); code != cli.Done || !strings.Contains(out, ".to bob") {
		t.Errorf("show: %d %s", code, out)
	}
	if code, _, said := gatepost(t, "queue", "show", w.ids.Next().String(), "--config", w.dir); code != cli.Found || !strings.Contains(said, "is not in the spool") {
		t.Errorf("show of another: %d %s", code, said)
	}
	for _, verb := range []string{"retry", "hold", "release", "bounce", "delete"} {
		if code, _, said := gatepost(t, "queue", verb, a.String(), "--config", w.dir); code != cli.Unreachable {
			t.Errorf("%s: %d %s", verb, code, said)
		}
	}
	if code, _, _ := gatepost(t, "queue", "clear-latch", "--config", w.dir); code != cli.Unreachable {
		t.Errorf("clear-latch: %d", code)
	}
	if after := tree(t, folder); after != before {
		t.Errorf("the folder was\n%s\nand is\n%s", before, after)
	}
}

// tree lists the files of a folder with their sizes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			info, _ := e.Info()
			fmt.Fprintf(&b, "%s %d\n", name, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestQueueRouteGone shows that mail of a route that a reload took away waits, and is an alarm that says what to do; and that
// without a way out nobody is told, and nothing is dropped.
func TestQueueRouteGone(t *testing.T) {
	w := newSpoolWorld(t, spools)
	w.put(t, "ann@x.example", "bob@example.org", "in", true)
	if ok, said := w.queueHealth(); !ok {
		t.Errorf("young mail is an alarm: %s", said)
	}
	w.stop()
	rest := strings.ReplaceAll(strings.ReplaceAll(spools, `"in"`, `"new"`), "notices_via = \"out\"\n", "")
	if err := os.WriteFile(filepath.Join(w.dir, "policy.toml"), []byte(rest), 0o600); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	if ok, said := w.queueHealth(); ok || !strings.Contains(said, `route "in", which the configuration does not have: gatepost queue reroute`) {
		t.Errorf("a route that is gone is no alarm: %s", said)
	}
	if code, _, said := gatepost(t, "queue", "reroute", "--route", "in", "--to-route", "new", "--config", w.dir); code != cli.Done {
		t.Fatalf("reroute: %d %s", code, said)
	}
	w.spoolCounted.at = time.Time{}
	if ok, said := w.queueHealth(); !ok {
		t.Errorf("rerouted: %s", said)
	}
	if code, _, said := gatepost(t, "queue", "bounce", "--route", "new", "--config", w.dir); code != cli.Done {
		t.Fatalf("bounce: %d %s", code, said)
	}
	if dead := w.listed(t, "--state", "dead"); len(dead) != 1 {
		t.Errorf("dead: %+v", dead)
	}
}

// TestSpoolTwice shows that a second process does not open the spool of a first, and goes on without it.
func TestSpoolTwice(t *testing.T) {
	w := newSpoolWorld(t, spools)
	second := &daemon{bootstrap: w.bootstrap, log: w.log, journal: w.journal}
	second.document.Store(w.document.Load())
	second.now.Store(w.now.Load())
	second.openSpool()
	if ok, said := second.spoolHealth(); second.queue != nil || ok || !strings.Contains(said, "another gatepost runs with it") {
		t.Errorf("opened: %v, %s", second.queue != nil, said)
	}
}

// TestSpoolPlace shows that a spool in memory is warned of, where a route uses it.
func TestSpoolPlace(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "gatepost")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	used := documents(t, "[spool]\ndir = \""+dir+"/new/spool\"\n", spools)
	if code, _, said := gatepost(t, "check", "--config", used); code != cli.Done || !strings.Contains(said, "warning: spool.dir: ") || !strings.Contains(said, "lies in memory (tmpfs)") {
		t.Errorf("%d %s", code, said)
	}
	unused := documents(t, "[spool]\ndir = \""+dir+"\"\n", servesOne)
	if code, _, said := gatepost(t, "check", "--config", unused); code != cli.Done || strings.Contains(said, "spool.dir") {
		t.Errorf("%d %s", code, said)
	}
}
