package alarm_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/alarm"
	"gatepost/internal/alarm/storetest"
	"gatepost/internal/durable"
)

// path is one that keeps what it was told, and fails while fault is set.
type path struct {
	mu    sync.Mutex
	told  []*alarm.Notice
	tries int
	fault error
	hang  bool
}

func (p *path) send(ctx context.Context, n *alarm.Notice) (string, error) {
	p.mu.Lock()
	p.tries++
	fault, hang := p.fault, p.hang
	if fault == nil && !hang {
		p.told = append(p.told, n)
	}
	p.mu.Unlock()
	if hang {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return "250 taken", fault
}

func (p *path) set(fault error, hang bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.hang = fault, hang
}

// subjects are those of the notices so far.
func (p *path) subjects() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.told {
		out = append(out, strings.TrimPrefix(n.Subject(), "[mx.example.org] "))
	}
	return out
}

func want(t *testing.T, p *path, subjects ...string) {
	t.Helper()
	synctest.Wait()
	if got := p.subjects(); strings.Join(got, "\n") != strings.Join(subjects, "\n") {
		t.Fatalf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(subjects, "\n"))
	}
}

// run runs a book until the test ends it.
func run(b *alarm.Book) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func bookOf(store alarm.Store, repeat time.Duration, paths ...alarm.Path) *alarm.Book {
	b := alarm.New(alarm.Options{Host: "mx.example.org", Store: store})
	b.Tune(alarm.Settings{Repeat: repeat, Paths: paths})
	return b
}

var sick = alarm.Report{Kind: "part", Object: "next hops", Severity: alarm.Critical, Text: "192.0.2.1:25: refused", Do: "look at it"}

// TestRepeatAndRecovery shows the life of an alarm: told once when it began, again every four hours while nobody has
// acknowledged it, not while somebody has, again when his time is over, and once when it is over.
func TestRepeatAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{}
		b := bookOf(nil, 0, alarm.Path{Name: "mail", Least: alarm.Warning, Send: p.send})
		defer run(b)()
		id := b.Raise(sick)
		time.Sleep(9 * time.Second)
		want(t, p)
		time.Sleep(3 * time.Second)
		all := []string{"CRITICAL alarm part:next-hops"}
		want(t, p, all...)
		for range 130 {
			b.Raise(sick) // still
			time.Sleep(2 * time.Minute)
		}
		all = append(all, "still alarm part:next-hops")
		want(t, p, all...)
		_, after, err := b.Ack(context.Background(), id, alarm.Ack{By: "anna", Note: "known\r\nBcc: x", Until: time.Now().Add(10 * time.Hour)}, "anna")
		if err != nil || after.Ack == nil || after.Owner != "anna" || strings.ContainsAny(after.Ack.Note, "\r\n") {
			t.Fatalf("%+v, %v", after, err)
		}
		time.Sleep(10*time.Hour - time.Minute)
		want(t, p, all...)
		time.Sleep(2 * time.Minute)
		all = append(all, "still alarm part:next-hops")
		want(t, p, all...)
		if list := b.List(false); list[0].Ack != nil || list[0].Owner != "anna" {
			t.Errorf("when its time is over: %+v", list[0])
		}
		if _, _, err = b.Ack(context.Background(), id, alarm.Ack{By: "anna"}, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Hour)
		want(t, p, all...)
		b.Clear("part", "next hops")
		time.Sleep(12 * time.Second)
		all = append(all, "over: alarm part:next-hops")
		want(t, p, all...)
		if len(b.List(false)) != 0 || b.List(true)[0].Count != 1 {
			t.Errorf("%+v", b.List(true))
		}
		if _, _, err := b.Ack(context.Background(), id, alarm.Ack{}, ""); !errors.Is(err, alarm.ErrOver) {
			t.Errorf("acknowledged when it is over: %v", err)
		}
		if _, _, err := b.Unack(context.Background(), "part:none"); !errors.Is(err, alarm.ErrUnknown) {
			t.Errorf("one that is not there: %v", err)
		}
		time.Sleep(24 * 8 * time.Hour)
		synctest.Wait()
		if left := b.List(true); len(left) != 0 {
			t.Errorf("a week later: %+v", left)
		}
	})
}

// TestAckEnds shows that an acknowledgement is of this time only: not of the next, and not of what became worse.
func TestAckEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{}
		b := bookOf(nil, -1, alarm.Path{Name: "mail", Least: alarm.Info, Send: p.send})
		defer run(b)()
		mild := sick
		mild.Severity = alarm.Info
		id := b.Raise(mild)
		time.Sleep(time.Minute)
		if _, _, err := b.Ack(context.Background(), id, alarm.Ack{By: "anna"}, ""); err != nil {
			t.Fatal(err)
		}
		b.Raise(sick)
		time.Sleep(time.Minute)
		want(t, p, "alarm part:next-hops", "CRITICAL alarm part:next-hops")
		if a := b.List(false)[0]; a.Ack != nil || a.Count != 1 {
			t.Errorf("worse: %+v", a)
		}
		if _, _, err := b.Ack(context.Background(), id, alarm.Ack{By: "anna"}, ""); err != nil {
			t.Fatal(err)
		}
		b.Clear("part", "next hops")
		time.Sleep(time.Hour)
		b.Raise(sick)
		time.Sleep(time.Minute)
		want(t, p, "alarm part:next-hops", "CRITICAL alarm part:next-hops", "over: alarm part:next-hops", "CRITICAL alarm part:next-hops")
		if a := b.List(false)[0]; a.Ack != nil || a.Count != 2 {
			t.Errorf("the next time: %+v", a)
		}
	})
}

// TestStorm shows that five hundred alarms are one notice, that more than there is room for are counted, and that what comes and
// goes again and again is told less and less often.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{}
		b := bookOf(nil, 0, alarm.Path{Name: "mail", Least: alarm.Info, Send: p.send})
		defer run(b)()
		for i := range 500 {
			r := sick
			r.Object = fmt.Sprint("hop", i)
			b.Raise(r)
		}
		time.Sleep(time.Minute)
		want(t, p, "CRITICAL 500 alarms")
		if n := p.told[0]; len(n.Began) != 50 || n.More != 450 || len(n.Text()) > 20000 {
			t.Errorf("%d listed, %d more, %d octets", len(n.Began), n.More, len(n.Text()))
		}
		for i := range 1500 {
			r := sick
			r.Object = fmt.Sprint("other", i)
			b.Raise(r)
		}
		if n := len(b.List(true)); n != 1000 || b.Turned() != 1000 {
			t.Errorf("%d kept, %d turned away", n, b.Turned())
		}
		time.Sleep(time.Minute)
		b.Sweep("part", nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		before := len(p.subjects())
		for range 3600 / 4 {
			b.Raise(sick)
			time.Sleep(2 * time.Second)
			b.Clear("part", "next hops")
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		if n := len(p.subjects()) - before; n < 1 || n > 15 {
			t.Errorf("%d notices in an hour of what came and went", n)
		}
	})
}

// TestPathFails shows that a path that fails is tried again, ever more seldom, is an alarm that the other tells, and is told of by
// itself only what else there is; that one that hangs holds up nobody; and that it recovers.
func TestPathFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mail, hook := &path{}, &path{}
		mail.set(errors.New("451 not now"), false)
		b := bookOf(nil, -1, alarm.Path{Name: "mail", Least: alarm.Info, Send: mail.send}, alarm.Path{Name: "webhook", Least: alarm.Info, Send: hook.send})
		defer run(b)()
		b.Raise(sick)
		time.Sleep(2 * time.Minute)
		want(t, mail)
		want(t, hook, "CRITICAL alarm part:next-hops", "alarm path:mail")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if mail.tries < 8 || mail.tries > 16 {
			t.Errorf("%d tries in two hours", mail.tries)
		}
		mail.set(nil, false)
		time.Sleep(20 * time.Minute)
		want(t, mail, "CRITICAL alarm part:next-hops")
		want(t, hook, "CRITICAL alarm part:next-hops", "alarm path:mail", "over: alarm path:mail")

		mail.set(nil, true)
		other := sick
		other.Object = "log"
		b.Raise(other)
		time.Sleep(12 * time.Second)
		want(t, hook, "CRITICAL alarm part:next-hops", "alarm path:mail", "over: alarm path:mail", "CRITICAL alarm part:log")
		said := b.Test(context.Background(), "x", "")
		if len(said) != 2 || said[0].OK || !strings.Contains(said[0].Said, "deadline") || !said[1].OK || said[1].Said != "250 taken" {
			t.Errorf("%+v", said)
		}
		for i := range 180 { // 30 hours: longer than a notice is tried
			r := sick
			r.Object, r.Severity = fmt.Sprint("many", i), alarm.Info
			b.Raise(r)
			time.Sleep(11 * time.Minute)
			b.Clear("part", r.Object)
		}
		synctest.Wait()
		if s := b.Stats(); s[0].Waiting > 160 || s[0].Dropped == 0 || s[1].Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestLeast shows that a path is told nothing milder than it wants, and what the operator says of severities.
func TestLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{}
		b := alarm.New(alarm.Options{Host: "mx.example.org"})
		b.Tune(alarm.Settings{Paths: []alarm.Path{{Name: "mail", Least: alarm.Warning, Send: p.send}}, Severity: map[string]alarm.Severity{"part:log": alarm.Info}})
		defer run(b)()
		b.Raise(alarm.Report{Kind: "part", Object: "log", Severity: alarm.Critical})
		b.Raise(alarm.Report{Kind: "part", Object: "dns"}) // who does not say how bad it is says that it is a warning
		time.Sleep(time.Minute)
		want(t, p, "alarm part:dns")
	})
}

// TestRestart shows that acknowledgement, owner, beginning and what was told are the same after a restart, that what is over then
// is told to be so, and that a notice that nobody got before is sent after it.
func TestRestart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "alarms.json")
	open := func() alarm.Store { return &alarm.File{Name: name, Write: durable.WriteFile} }
	synctest.Test(t, func(t *testing.T) {
		p := &path{}
		b := bookOf(open(), 0, alarm.Path{Name: "mail", Least: alarm.Info, Send: p.send})
		stop := run(b)
		id, began := b.Raise(sick), time.Now()
		time.Sleep(time.Minute)
		if _, _, err := b.Ack(context.Background(), id, alarm.Ack{By: "anna", Note: "disk is ordered"}, "bernd"); err != nil {
			t.Fatal(err)
		}
		p.set(errors.New("away"), false)
		late := sick
		late.Object = "log"
		b.Raise(late)
		time.Sleep(time.Minute)
		stop()

		p.set(nil, false)
		b = bookOf(open(), 0, alarm.Path{Name: "mail", Least: alarm.Info, Send: p.send})
		b.Raise(sick) // it is seen before the store is read
		if err := b.Load(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer run(b)()
		time.Sleep(time.Minute)
		want(t, p, "CRITICAL alarm part:next-hops", "CRITICAL alarm part:log")
		for _, a := range b.List(false) {
			if a.ID == id && (a.Ack == nil || a.Ack.By != "anna" || a.Ack.Note != "disk is ordered" || a.Owner != "bernd" || !a.Since.Equal(began) || a.Count != 1) {
				t.Errorf("%+v %+v", a, a.Ack)
			}
		}
		b.Sweep("part", []string{"log"})
		time.Sleep(time.Minute)
		want(t, p, "CRITICAL alarm part:next-hops", "CRITICAL alarm part:log", "over: alarm part:next-hops")
	})
}

// broken is a store that does not work, or hangs, until it is mended.
type broken struct {
	alarm.File
	mu     sync.Mutex
	mended bool
}

func (s *broken) wait(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mended {
		return nil
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	return ctx.Err()
}

func (s *broken) Load(ctx context.Context) ([]alarm.Alarm, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.File.Load(ctx)
}

func (s *broken) Save(ctx context.Context, list []alarm.Alarm) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.File.Save(ctx, list)
}

// TestStoreHangs shows that a store that hangs keeps no alarm from being told, and is written to when it works again.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := &path{}, &broken{}
		b := bookOf(s, 0, alarm.Path{Name: "mail", Least: alarm.Info, Send: p.send})
		defer run(b)()
		id := b.Raise(sick)
		time.Sleep(12 * time.Second)
		want(t, p, "CRITICAL alarm part:next-hops")
		if _, after, err := b.Ack(context.Background(), id, alarm.Ack{By: "anna"}, ""); err == nil || after.Ack == nil {
			t.Errorf("an acknowledgement that is not kept: %+v, %v", after, err)
		}
		s.mu.Lock()
		s.mended = true
		s.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		list, err := s.File.Load(context.Background())
		if err != nil || len(list) != 1 || list[0].Ack == nil || list[0].Ack.By != "anna" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestFile shows that a file keeps alarms, as any store does.
func TestFile(t *testing.T) {
	name := ""
	storetest.Run(t, func(t *testing.T) alarm.Store {
		if name == "" {
			name = filepath.Join(t.TempDir(), "alarms.json")
		}
		return &alarm.File{Name: name, Write: durable.WriteFile}
	})
}
