package ledger

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKilled shows that what was delivered is known to the next process, though the one before wrote nothing at its end; and
// that what was heard of is not.
func TestKilled(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger")
	l := New(Options{Key: key, File: name})
	deliver(t, l, 1, "a@x", "b@x")
	deliver(t, l, 2, "a@x").Heard(true)
	deliver(t, l, 3, "a@x").Heard(false) // writes what was heard with it
	begin(t, l, 4, "a@x")                // in flight for ever
	for range 3 {
		l = New(Options{Key: key, File: name})
		for n, want := range map[int]bool{1: true, 2: false, 3: true, 4: false} {
			if got := done(t, l, n, "a@x")[0]; got != want {
				t.Errorf("message %d: %v", n, got)
			}
		}
		if s := l.Stats(); s.Entries != 3 || s.Faults != 0 {
			t.Errorf("%+v", s)
		}
		if info, err := os.Stat(name); err != nil || info.Size() != 4*recordSize || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

// TestRestore shows that what the spool holds is known to a ledger that a crash kept from it, and survives the next one; but
// not what its sender heard of, nor what came long before.
func TestRestore(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger")
	l := New(Options{Key: key, File: name})
	deliver(t, l, 2, "a@x").Heard(true)
	deliver(t, l, 3, "a@x").Heard(false)
	l = New(Options{Key: key, File: name})
	hexed := func(n int) string { m := message(n); return hex.EncodeToString(m[:]) }
	now := time.Now()
	l.Restore(func(_ time.Time, tell func(time.Time, string, []string)) {
		tell(now, hexed(1), []string{"a@x", "b@x"})
		tell(now, hexed(2), []string{"a@x"})
		tell(now.Add(-time.Hour), hexed(4), []string{"a@x"})
		for _, none := range []string{"", "no digits", hexed(1)[:62]} {
			tell(now, none, []string{"c@x"})
		}
	})
	for range 2 {
		for n, want := range map[int]bool{1: true, 2: false, 3: true, 4: false} {
			if got := done(t, l, n, "a@x"); got[0] != want {
				t.Errorf("message %d: %v", n, got)
			}
		}
		if got := done(t, l, 1, "b@x", "c@x"); !slices.Equal(got, []bool{true, false}) || l.Stats().Entries != 3 {
			t.Errorf("%v, %+v", got, l.Stats())
		}
		l.tend()
		l = New(Options{Key: key, File: name})
	}
}

// TestDamage shows what is left of files that are not as they were written, and that each can be used afterwards.
func TestDamage(t *testing.T) {
	whole := func() []byte {
		name := filepath.Join(t.TempDir(), "ledger")
		l := New(Options{Key: key, File: name})
		for n := range 5 {
			deliver(t, l, n, "a@x")
		}
		b, err := os.ReadFile(name)
		if err != nil || len(b) != 6*recordSize {
			t.Fatal(len(b), err)
		}
		return b
	}()
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 1
		return b
	}
	old := append(bytes.Clone(whole[:recordSize]), appendRecord(nil, Key{1}, seconds(time.Now().Add(-Unheard-time.Hour)), delivery)...)
	ahead := append(bytes.Clone(whole[:recordSize]), appendRecord(nil, Key{1}, seconds(time.Now().Add(2*clockTrouble)), delivery)...)
	for _, tt := range []struct {
		name   string
		file   []byte
		key    []byte
		left   int
		said   string
		faults uint64
	}{
		{"whole", whole, key, 5, "", 0},
		{"tail cut off", whole[:len(whole)-7], key, 4, "records=1", 1},
		{"tail of zeros", append(bytes.Clone(whole), make([]byte, 3*recordSize+5)...), key, 5, "records=4", 1},
		{"one octet in the middle", flip(2*recordSize + 3), key, 4, "records=1", 1},
		{"a kind that is none", flip(2*recordSize + 20), key, 4, "records=1", 1},
		{"header", flip(3), key, 0, "begins anew", 1},
		{"empty", nil, key, 0, "begins anew", 1},
		{"another key", whole, []byte("another key of thirty-two octets"), 0, "begins anew", 1},
		{"garbage", []byte(strings.Repeat("garbage", 1000)), key, 0, "begins anew", 1},
		{"too old", old, key, 0, "", 0},
		{"of the future", ahead, key, 0, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "ledger")
			if err := os.WriteFile(name, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			l := New(Options{Key: tt.key, File: name, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if s := l.Stats(); s.Entries != tt.left || s.Faults != tt.faults {
				t.Errorf("%+v, want %d and %d", s, tt.left, tt.faults)
			}
			if (tt.said == "") != (log.Len() == 0) || !strings.Contains(log.String(), tt.said) {
				t.Errorf("said %q, want %q", &log, tt.said)
			}
			deliver(t, l, 77, "a@x")
			if l = New(Options{Key: tt.key, File: name}); !done(t, l, 77, "a@x")[0] || l.Stats().Entries != tt.left+1 || l.Stats().Faults != 0 {
				t.Errorf("afterwards %+v", l.Stats())
			}
		})
	}
}

// TestUnwritable shows that without a file that can be written mail goes on, that this is told once, and that the file is made
// good when it can be.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "folder", "ledger")
	var log bytes.Buffer
	l := New(Options{Key: key, File: name, Log: slog.New(slog.NewTextHandler(&log, nil))})
	deliver(t, l, 1, "a@x").Heard(false)
	for range 5 {
		l.tend()
	}
	if ok, detail := l.Health(); ok || !strings.Contains(detail, "no such file") || strings.Count(log.String(), "\n") != 1 {
		t.Fatalf("%v, %s, told %q", ok, detail, &log)
	}
	if !done(t, l, 1, "a@x")[0] {
		t.Error("not remembered in memory")
	}
	if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	l.tend()
	if ok, detail := l.Health(); !ok {
		t.Error(detail)
	}
	l.file.f.Close() // as if the disk failed
	deliver(t, l, 2, "a@x")
	if ok, detail := l.Health(); ok {
		t.Error(detail)
	}
	l.tend()
	if ok, detail := l.Health(); !ok {
		t.Error(detail)
	}
	if l = New(Options{Key: key, File: name}); !done(t, l, 1, "a@x")[0] || !done(t, l, 2, "a@x")[0] {
		t.Error("not written when it could be")
	}
}

// TestRenew shows that the file does not grow with what is of no use, and that nothing is lost while it is written anew.
func TestRenew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger")
	l := New(Options{Key: key, File: name})
	stop, ended := make(chan bool), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				ended <- n
				return
			default:
			}
			c := deliver(t, l, n, "a@x")
			c.Heard(n%10 > 0)
		}
	}()
	for range 30 {
		if err := l.renew(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	n := <-ended
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n < 30 {
		t.Fatalf("%d deliveries meanwhile", n)
	}
	l = New(Options{Key: key, File: name})
	for i := range n {
		if got := done(t, l, i, "a@x")[0]; got != (i%10 == 0) {
			t.Fatalf("message %d of %d: %v", i, n, got)
		}
	}
	for range slack + n {
		l.note(Key{}, 1, heard)
	}
	l.tend()
	if info, err := os.Stat(name); err != nil || info.Size() > int64(recordSize*(n/10+2)) {
		t.Errorf("%d octets, %v", info.Size(), err)
	}
}

// FuzzFile reads any file: what is taken from it is bounded, whole, and read again as it was.
func FuzzFile(f *testing.F) {
	l := New(Options{Key: key})
	now := time.Unix(1_800_000_000, 0)
	head := appendHeader(nil, l.mark())
	one := appendRecord(nil, Key{1, 2, 3}, seconds(now), delivery)
	f.Add(append(bytes.Clone(head), one...))
	f.Add(appendRecord(append(bytes.Clone(head), one...), Key{1, 2, 3}, seconds(now), heard))
	f.Add(append(append(bytes.Clone(head), one[:20]...), one...))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, in []byte) {
		l := New(Options{Key: key, Most: 100})
		damaged, err := l.take(bytes.NewReader(in), now)
		if n := l.Stats().Entries; n > 100 || n*recordSize > len(in) || err != nil && n > 0 {
			t.Fatalf("%d entries of %d octets, %v", n, len(in), err)
		}
		if damaged*recordSize > len(in) {
			t.Fatalf("%d damaged records of %d octets", damaged, len(in))
		}
		var b bytes.Buffer
		b.Write(head)
		for i := l.known.first; i != none; i = l.known.slots[i].next {
			b.Write(appendRecord(nil, l.known.slots[i].key, l.known.slots[i].at, delivery))
		}
		again := New(Options{Key: key, Most: 100})
		if damaged, err := again.take(io.Reader(&b), now); damaged > 0 || err != nil || again.Stats().Entries != l.Stats().Entries {
			t.Fatalf("read again: %d damaged, %v, %+v", damaged, err, again.Stats())
		}
	})
}

// BenchmarkDelivery is what the ledger costs of a message to one recipient that is delivered and heard of: beginning, the
// record written before the reply, and forgetting.
func BenchmarkDelivery(b *testing.B) {
	for _, how := range []struct {
		name string
		o    Options
	}{
		{"memory", Options{Key: key}},
		{"file", Options{Key: key, File: filepath.Join(b.TempDir(), "ledger")}},
	} {
		b.Run(how.name, func(b *testing.B) {
			l := New(how.o)
			m := message(1)
			rcpts := []string{"user@served.example"}
			yes := []bool{true}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				m[0], m[1], m[2] = byte(n), byte(n>>8), byte(n>>16)
				c, err := l.Begin(b.Context(), m, rcpts)
				if err != nil {
					b.Fatal(err)
				}
				c.End(yes)
				c.Heard(true)
			}
		})
	}
}

// BenchmarkFull is memory: how much a full ledger takes.
func BenchmarkFull(b *testing.B) {
	for b.Loop() {
		l := New(Options{Key: key})
		for n := range defaultMost {
			var k Key
			copy(k[:], fmt.Sprint(n))
			l.known.put(k, 1, 2)
		}
	}
	b.ReportAllocs()
}
