package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/mails"
)

// mailsFlag lets scripts/soak send more.
var mailsFlag = flag.Int("mails", 50, "how many mails TestReal sends while the policy is read again and again")

// sample is how many of the mails the log is asked for, one by one.
const sample = 50

// realTime is how long the tests with real parts may take.
func realTime() time.Duration { return 5*time.Minute + time.Duration(*mailsFlag)*500*time.Millisecond }

// realLoad: many mails at the same time, over as many connections as the sending Postfix likes, while the policy is read
// again and again. Each arrives once, no connection is refused, and each can be found by what a help desk knows.
func realLoad(ctx context.Context, t *testing.T, p *realParts, w *world, out *lab.Postfix) {
	loaded, began := *mailsFlag, time.Now()
	during, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	reloads := 0
	group.Go(func() { reloads = w.reloads(during, t) })
	group.Go(func() { w.knocks(during, t) })

	var sent []mails.Mail
	for range loaded {
		m := letter("bulk@lab.test")
		send(ctx, t, out, m)
		sent = append(sent, m)
	}
	box := p.inside.Maildir("bulk@lab.test")
	if _, err := box.Await(ctx, loaded); err != nil {
		t.Fatalf("%v\n%s", err, out.Log())
	}
	stop()
	group.Wait()
	took := time.Since(began)
	t.Logf("%d mails in %v, %.1f a second, with %d reloads", loaded, took.Round(time.Millisecond), float64(loaded)/took.Seconds(), reloads)
	p.settles(ctx, t, out)
	if reloads < 3 {
		t.Errorf("%d reloads only", reloads)
	}
	if all, err := box.Messages(); err != nil || len(all) != loaded {
		t.Errorf("%d messages, %v", len(all), err)
	}
	p.eachOnce(t, "bulk@lab.test", sent)
	w.found(ctx, t, p, sent[:min(sample, len(sent))], began)
}

// eachOnce fails unless each mail lies in the mailbox once, octet for octet.
func (p *realParts) eachOnce(t testing.TB, address string, sent []mails.Mail) {
	t.Helper()
	all, err := p.inside.Maildir(address).Messages()
	if err != nil {
		t.Fatal(err)
	}
	came := make(map[string]int)
	for _, m := range all {
		if _, body, ok := bytes.Cut(m, []byte("\nDate: ")); ok {
			came["Date: "+string(body)]++
		}
	}
	for _, m := range sent {
		if n := came[strings.ReplaceAll(string(m.Body), "\r\n", "\n")]; n != 1 {
			t.Errorf("%s arrived %d times as it was sent", messageID(t, m.Body), n)
		}
	}
}

// reloads has the daemon read a changed policy again and again, and waits each time until it is in force.
func (w *world) reloads(ctx context.Context, t testing.TB) int {
	for n := 1; ; n++ {
		policy := fmt.Sprintf("# number %d\n%s", n, w.policy)
		if err := w.daemon.Reload("", policy); err != nil {
			t.Error(err)
			return n
		}
		if eventually(ctx, func() (string, bool) { return "", w.told("reload") >= n }) != nil {
			return n - 1
		}
	}
}

// told counts the journal's lines of a kind that tell of the daemon.
func (w *world) told(kind string) int {
	return strings.Count(w.daemonSaid(), `"kind":"`+kind+`"`)
}

// knocks connects again and again: the daemon must greet each time.
func (w *world) knocks(ctx context.Context, t testing.TB) {
	for ctx.Err() == nil {
		conn, err := net.DialTimeout("tcp", w.addr(), clientTime)
		if err != nil {
			t.Errorf("a connection was refused: %v", err)
			return
		}
		_ = conn.SetDeadline(time.Now().Add(clientTime))
		banner := make([]byte, 512)
		n, err := conn.Read(banner)
		if err != nil || !strings.HasPrefix(string(banner[:n]), "220 ") {
			t.Errorf("greeted with %q, %v", banner[:n], err)
		}
		_, _ = conn.Write([]byte("QUIT\r\n"))
		conn.Close()
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// found: the log finds each mail by its Message-ID, and all of them by their sender, recipient and verdict.
func (w *world) found(ctx context.Context, t testing.TB, p *realParts, sent []mails.Mail, began time.Time) {
	loaded := *mailsFlag
	t.Helper()
	want := make(map[string]bool) // trace ids by the header
	for _, m := range sent {
		above := arrives(ctx, t, p.inside.Maildir(m.To), m.Body)
		id := fieldOf(above, "X-Gatepost-Trace")
		want[id] = true
		if rows := w.search(ctx, t, "--message-id", messageID(t, m.Body)); len(rows) != 1 || !rows[id] {
			t.Errorf("%s: found %v, not %s", messageID(t, m.Body), rows, id)
		}
		if story := w.story(ctx, t, id); !strings.Contains(story, messageID(t, m.Body)) {
			t.Errorf("%s: the story is of another mail:\n%s", id, story)
		}
	}
	since := began.Format(time.RFC3339)
	for _, query := range [][]string{
		{"--from", sender}, {"--to", "bulk@lab.test"}, {"--from", sender, "--verdict", "accept"}, {"--from", sender, "--to", "bulk@lab.test", "--verdict", "accept"},
	} {
		rows := w.search(ctx, t, append(query, "--since", since, "--limit", strconv.Itoa(2*loaded+1000))...)
		for id := range want {
			if !rows[id] {
				t.Errorf("%q does not find %s", query, id)
			}
		}
	}
	if rows := w.search(ctx, t, "--to", "bulk@lab.test", "--verdict", "reject", "--since", since); len(rows) != 0 {
		t.Errorf("rejected: %v", rows)
	}
}

// search asks gatepost log search for transactions.
func (w *world) search(ctx context.Context, t testing.TB, args ...string) map[string]bool {
	t.Helper()
	out, complaint, _, err := w.daemon.Command(ctx, append([]string{"log", "search", "--json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]bool)
	for line := range strings.Lines(out) {
		var row struct{ ID, From string }
		if err := json.Unmarshal([]byte(line), &row); err != nil || row.ID == "" {
			t.Fatalf("%q: %v\n%s", line, err, complaint)
		}
		if row.From != "" {
			rows[row.ID] = true
		}
	}
	return rows
}
