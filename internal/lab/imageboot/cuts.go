package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/lab/mails"
)

// How many messages are acknowledged before the power goes, and how many clients send at once.
const (
	acknowledged = 25
	clients      = 6
)

// cutInMail takes the power while mail is being sent and the server behind is away, so that what was acknowledged lies on the disk of the
// appliance alone: each such message reaches the server after the next boot, once.
func (l *life) cutInMail(ctx context.Context) error {
	if err := l.on("power cut in mail", false); err != nil {
		return err
	}
	if err := l.spools(ctx); err != nil {
		return err
	}
	// The recipient is known from now on; and the scanners answer.
	if code, said, err := l.v.insist(to(mails.ASCII)); err != nil || code != 250 {
		return fmt.Errorf("mail: %d %s %w", code, said, err)
	}
	l.sink.GoSMTP.Close()
	taken, err := l.flood()
	if err != nil {
		return err
	}
	l.cut()
	if err := l.sink.on(); err != nil {
		return err
	}
	if err := l.on("after the power cut in mail", false); err != nil {
		return err
	}
	return l.arrived(ctx, taken)
}

// spools has the route of the first run keep mail while its server is away.
func (l *life) spools(ctx context.Context) error {
	var now api.Policy
	if err := l.o.await("the policy", func(ctx context.Context) error { return l.o.ask(ctx, http.MethodGet, "/policy", nil, &now) }); err != nil {
		return err
	}
	const route = "[[route]]\n"
	if strings.Count(now.Text, route) != 1 {
		return fmt.Errorf("the policy of the first run has another form: %s", now.Text)
	}
	return l.o.ask(ctx, http.MethodPost, "/policy/versions", map[string]any{"expect": now.Number, "comment": "spool", "confirm": "0",
		"text": strings.Replace(now.Text, route, route+"when_down = \"spool\"\n", 1)}, nil)
}

// flood sends from several clients until enough was acknowledged, and returns what was: the clients go on until the power is cut.
func (l *life) flood() (taken map[string]bool, err error) {
	var mu sync.Mutex
	taken = map[string]bool{}
	last := ""
	over := make(chan struct{})
	v := l.v
	for c := range clients {
		go func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				case <-v.ended:
					return
				default:
				}
				id := fmt.Sprintf("%d.%d@client.example.org", c, n)
				code, said, err := v.send(numbered(id))
				mu.Lock()
				if code == 250 {
					taken[id] = true
				} else {
					last = fmt.Sprint(code, " ", said, " ", err)
				}
				mu.Unlock()
			}
		}()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = v.await(ctx, "mail that is acknowledged", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(taken) < acknowledged {
			return fmt.Errorf("%d; another heard %s", len(taken), last)
		}
		return nil
	})
	if err != nil {
		close(over)
	}
	return taken, err
}

// numbered is clean mail with a Message-ID of its own.
func numbered(id string) mails.Mail {
	return mails.Mail{Name: id, From: sender, To: box, Body: []byte("From: Anna <" + sender + ">\r\nTo: Bob <" + box + ">\r\nSubject: Number " + id +
		"\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\nMessage-ID: <" + id + ">\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" +
		strings.Repeat("This is one of many that are sent while the power goes.\r\n", 50))}
}

// arrived waits until all that was acknowledged is there, and then until the spool is empty: nothing may have come twice.
func (l *life) arrived(ctx context.Context, taken map[string]bool) error {
	had := func() map[string]int {
		out := map[string]int{}
		for _, m := range l.sink.Messages() {
			_, rest, _ := bytes.Cut(m.Body, []byte("Message-ID: <"))
			id, _, _ := bytes.Cut(rest, []byte(">"))
			out[string(id)]++
		}
		return out
	}
	err := l.v.await(ctx, "what was acknowledged", func() error {
		n := 0
		for id := range taken {
			if had()[id] > 0 {
				n++
			}
		}
		if n < len(taken) {
			return fmt.Errorf("%d of %d arrived", n, len(taken))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = l.o.await("an empty spool", func(ctx context.Context) error {
		var q api.QueueList
		if err := l.o.ask(ctx, http.MethodGet, "/queue", nil, &q); err != nil {
			return err
		}
		if len(q.Messages) > 0 {
			return fmt.Errorf("%d wait", len(q.Messages))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, n := range had() {
		if n != 1 {
			return fmt.Errorf("%s arrived %d times", id, n)
		}
	}
	l.v.took(fmt.Sprintf("all of %d acknowledged messages arrived, none twice (%d arrived)", len(taken), len(l.sink.Messages())))
	return l.off(ctx)
}

// moment is when the power is cut during an update.
type moment struct {
	name string
	// now reports whether it has come; sent is how much of the bundle was sent, in octets.
	now func(l *life, sent, size int64) (bool, error)
}

// moments are those of an update.
func moments() []moment {
	return []moment{
		{"half of it was received", func(_ *life, sent, size int64) (bool, error) { return sent > size/2, nil }},
		{"the slot is being written", func(l *life, _, _ int64) (bool, error) { return l.slotBegun() }},
		{"the kernel is being written", func(l *life, _, _ int64) (bool, error) {
			out, err := exec.Command("mdir", "-b", "-i", fmt.Sprintf("%s@@%d", l.disk, 1<<20), "::EFI/Linux").CombinedOutput()
			return strings.Contains(string(out), third+"+3.efi"), ignoreHalf(err)
		}},
	}
}

// third is a good version, built as the failing one was, but well.
const third = "1.0.3"

// ignoreHalf: while the guest writes to its FAT mtools may see half of it.
func ignoreHalf(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// slotBegun reports whether the slot that does not run has begun to hold the third version.
func (l *life) slotBegun() (bool, error) {
	want := make([]byte, 64<<10)
	have := make([]byte, len(want))
	root, err := os.Open(l.built("root", third))
	if err != nil {
		return false, err
	}
	defer root.Close()
	disk, err := os.Open(l.disk)
	if err != nil {
		return false, err
	}
	defer disk.Close()
	if _, err := io.ReadFull(root, want); err != nil {
		return false, err
	}
	_, err = disk.ReadAt(have, slotStart) // the second version runs from b
	return bytes.Equal(want, have), err
}

// counted counts what is read.
type counted struct {
	io.Reader
	mu sync.Mutex
	n  int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(n)
	return n, err
}

func (c *counted) sent() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// cutInUpdates takes the power at moments of an update: each time the second version boots, or the third, whole; then the update is done
// again, to its end.
func (l *life) cutInUpdates(ctx context.Context) error {
	for _, m := range moments() {
		if err := l.on("power cut while "+m.name, false); err != nil {
			return err
		}
		if err := l.cutAt(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if err := l.on("after power cuts in updates", false); err != nil {
		return err
	}
	return l.repeats(ctx)
}

// cutAt begins an update and cuts it off.
func (l *life) cutAt(ctx context.Context, m moment) error {
	if err := l.o.runs(second, "b"); err != nil {
		return err
	}
	l.v.took("version " + second + " runs")
	f, err := os.Open(l.built("gpu", third))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	from := &counted{Reader: f}
	done := make(chan error, 1)
	go func() {
		_, err := l.o.update(ctx, io.NopCloser(from))
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return fmt.Errorf("it was over before that: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
		now, err := m.now(l, from.sent(), info.Size())
		if err != nil {
			return err
		}
		if now {
			break
		}
	}
	l.cut()
	if err := <-done; err == nil {
		return errors.New("the update was done already")
	}
	return nil
}

// repeats has the update that was cut off done again, and its version found good.
func (l *life) repeats(ctx context.Context) error {
	a, err := l.waits(ctx)
	if err != nil {
		return err
	}
	if a.Running == second {
		if err := l.o.applies(ctx, l.built("gpu", third), third); err != nil {
			return err
		}
		if err := l.o.restarts(ctx, "a"); err != nil {
			return err
		}
	}
	if err := l.o.runs(third, "a"); err != nil {
		return err
	}
	l.v.took("version " + third + " found good")
	if err := l.o.mail(l.sink.GoSMTP); err != nil {
		return err
	}
	return l.v.figures(ctx)
}

// waits waits for an answer about the versions.
func (l *life) waits(ctx context.Context) (a api.Appliance, err error) {
	return a, l.v.await(ctx, "the status", func() (err error) { a, err = l.o.status(ctx); return err })
}
