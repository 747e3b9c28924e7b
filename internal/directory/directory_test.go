package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestKey(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"User@Example.ORG", "user@example.org"},
		{`"John Smith"@example.org`, "john smith@example.org"},
		{`"a\"b"@example.org`, `a"b@example.org`},
		{`"user"@example.org`, "user@example.org"},
		{"user+tag@example.org", "user+tag@example.org"},
		{"jürgen@example.org", "jürgen@example.org"},
		{"x@bücher.example", "x@xn--bcher-kva.example"},
		{"x@xn--bcher-kva.example", "x@xn--bcher-kva.example"},
		{"x@localhost", "x@localhost"},
		{"a@b@example.org", ""}, {"@example.org", ""}, {"user", ""}, {"", ""}, {"user@", ""}, {"a..b@example.org", ""}, {".a@example.org", ""},
		{"a b@example.org", ""}, {"user@exa mple.org", ""}, {"user@-example.org", ""}, {"user@example..org", ""}, {"\xff@example.org", ""},
		{`"open@example.org`, ""}, {`""@example.org`, ""}, {strings.Repeat("a", 65) + "@example.org", ""}, {"a\x00b@example.org", ""}, {"user@[192.0.2.1]", ""},
		{"<user@example.org>", ""},
	} {
		got, err := Key(tt.text)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v", tt.text, got, err)
		}
	}
}

// collect reads a source from text.
func collect(t *testing.T, path string, s Source) ([]string, string, error) {
	t.Helper()
	var got []string
	told, err := s.Read(t.Context(), func(a string) error {
		if _, err := Key(a); err != nil {
			return err
		}
		got = append(got, a)
		return nil
	})
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), path, "FILE"))
	}
	return got, told, err
}

func TestRead(t *testing.T) {
	const ad = "\xef\xbb\xbf\"Name\";\"PrimarySmtpAddress\";\"Enabled\"\r\n\"A\";\"a@example.org\";\"True\"\r\n\"B, x\";\"b@example.org\";\"False\"\r\n\"C\";c@example.org;TRUE\r\n"
	semicolon := func(column, status string) CSV {
		return CSV{Comma: ';', Column: column, Status: status, Active: []string{"true", "1"}}
	}
	for name, tt := range map[string]struct {
		text string
		csv  *CSV
		want string // addresses, or the error after "!"
		told string
	}{
		"lines":             {text: "# all\n\na@example.org\n  b@example.org  # remark\r\n\tc@example.org\t#x\n", want: "a@example.org b@example.org c@example.org"},
		"no last line end":  {text: "a@example.org", want: "a@example.org"},
		"byte order mark":   {text: "\xef\xbb\xbfa@example.org\n", want: "a@example.org"},
		"empty":             {text: "# nothing\n"},
		"a word":            {text: "a@example.org\n\nbanana\n", want: "!FILE:3: is no mail address: it has no @"},
		"a domain":          {text: "@example.org\n", want: "!FILE:1: is a domain, not an address; a domain whose every address exists needs no list"},
		"two in a line":     {text: "a@example.org b@example.org\n", want: "!FILE:1: is no mail address: what stands before the @ cannot be a mailbox"},
		"long line":         {text: "a@example.org\n" + strings.Repeat("x", 5000) + "\n", want: "!FILE:2: has more than 4096 octets"},
		"columns by name":   {text: ad, csv: ptr(semicolon("primarysmtpaddress", "")), want: "a@example.org b@example.org c@example.org"},
		"status":            {text: ad, csv: ptr(semicolon("PrimarySmtpAddress", "Enabled")), want: "a@example.org c@example.org", told: "1 left out by their Enabled"},
		"columns by number": {text: "x,a@example.org\ny,b@example.org\n", csv: &CSV{Column: "2"}, want: "a@example.org b@example.org"},
		"no such column":    {text: ad, csv: ptr(semicolon("mail", "")), want: `!FILE:1: there is no column "mail": the columns are ["Name" "PrimarySmtpAddress" "Enabled"]`},
		"no such number":    {text: ad, csv: ptr(semicolon("4", "")), want: "!FILE:1: there is no column 4: the line has 3"},
		"wrong separator":   {text: ad, csv: &CSV{Column: "Name"}, want: `!FILE:1: extraneous or missing " in quoted-field`},
		"a row too short":   {text: "mail,x\na@example.org,1\nb@example.org\n", csv: &CSV{Column: "mail"}, want: "!FILE:3: wrong number of fields"},
		"no address":        {text: "mail\na@example.org\n\nnone\n", csv: &CSV{Column: "mail"}, want: "!FILE:4: is no mail address: it has no @"},
		"quote not closed":  {text: "mail,x\na@example.org,\"" + strings.Repeat("y\n", 200000), csv: &CSV{Column: "mail"}, want: "!FILE:2: begins what has no end within 65536 octets; a quote may not be closed"},
		"only names":        {text: "mail\n", csv: &CSV{Column: "mail"}},
		"nothing":           {text: "", csv: &CSV{Column: "mail"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list")
			write(t, path, tt.text)
			var s Source = File{path}
			if tt.csv != nil {
				tt.csv.Path = path
				s = *tt.csv
			}
			got, told, err := collect(t, path, s)
			if want, bad := strings.CutPrefix(tt.want, "!"); bad {
				if err == nil || err.Error() != want {
					t.Fatalf("error %v, want %s", err, want)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != tt.want || told != tt.told {
				t.Fatalf("got %q, %q, %v", got, told, err)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestNoFile(t *testing.T) {
	folder := t.TempDir()
	for _, path := range []string{filepath.Join(folder, "none"), folder} {
		if _, err := (File{path}).Read(t.Context(), func(string) error { return nil }); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

// fake is a source that says what the test wants.
type fake struct {
	mu        sync.Mutex
	addresses []string
	err       error
	reads     int
}

func (f *fake) Read(_ context.Context, add func(string) error) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	for _, a := range f.addresses {
		if err := add(a); err != nil {
			return "", err
		}
	}
	return "", f.err
}

func (f *fake) Changed() string { return "" }

func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("u%d@example.org", i)
	}
	return out
}

// TestKeepsWhatWasGood walks a directory through what its source can do to it, each time with a process that starts anew
// from the copy.
func TestKeepsWhatWasGood(t *testing.T) {
	copyFile := filepath.Join(t.TempDir(), "copies", "d.copy")
	f := &fake{}
	for _, step := range []struct {
		name  string
		n     int
		err   error
		force bool
		empty bool
		want  int // addresses in force afterwards; -1: never read
		held  int
		says  string
	}{
		{name: "away from the start", err: errors.New("away"), want: -1, says: "away"},
		{name: "empty", want: -1, says: "no address at all"},
		{name: "first", n: 100, want: 100},
		{name: "away", n: 100, err: errors.New("cut off half way"), want: 100, says: "cut off"},
		{name: "half of it", n: 50, want: 50},
		{name: "less than half", n: 24, want: 50, held: 24, says: "less than half"},
		{name: "empty later", want: 50, says: "no address at all"},
		{name: "still less", n: 24, want: 50, held: 24, says: "24 of 50"},
		{name: "back", n: 60, want: 60},
		{name: "less, forced", n: 10, force: true, want: 10},
		{name: "forced, but broken", n: 10, err: errors.New("broken"), force: true, want: 10, says: "broken"},
		{name: "empty, forced and allowed", force: true, empty: true, want: 0},
		{name: "grows", n: 1000, want: 1000},
	} {
		var told []Event
		d := New(Options{Name: "d", Source: f, Copy: copyFile, AllowEmpty: step.empty, Tell: func(e Event) { told = append(told, e) }})
		if err := d.Load(); err != nil {
			t.Fatal(err)
		}
		f.addresses, f.err = numbered(step.n), step.err
		err := d.Sync(t.Context(), step.force)
		if (err != nil) != (step.says != "") || err != nil && !strings.Contains(err.Error(), step.says) || len(told) != 1 {
			t.Fatalf("%s: %v, told %+v", step.name, err, told)
		}
		s := d.Status()
		if s.Ready != (step.want >= 0) || s.Addresses != max(step.want, 0) || s.Held != step.held || s.HeldBack != (step.held > 0) || s.OK() != (err == nil) {
			t.Fatalf("%s: %+v", step.name, s)
		}
		again := New(Options{Name: "d", Source: f, Copy: copyFile})
		if err := again.Load(); err != nil {
			t.Fatal(err)
		}
		for i, now := range []*Directory{d, again} { // this process, and the next
			for _, n := range []int{0, 9, 10, 23, 24, 49, 50, 59, 60, 99, 100, 999, 1000} {
				found, ready, _ := now.Has(fmt.Sprintf("U%d", n), "example.org")
				if found != (n < step.want) || ready != (step.want >= 0) {
					t.Fatalf("%s, process %d: u%d found %v, ready %v", step.name, i, n, found, ready)
				}
			}
		}
	}
}

func TestRunFollowsAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "list")
		write(t, path, "a@example.org\nb@example.org\n")
		d := New(Options{Name: "d", Source: File{path}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx); close(ended) }()
		look := func(what string, a, c bool, ok bool) {
			t.Helper()
			time.Sleep(31 * time.Second)
			synctest.Wait()
			gotA, _, age := d.Has("a", "example.org")
			gotC, _, _ := d.Has("c", "example.org")
			s := d.Status()
			if gotA != a || gotC != c || s.OK() != ok || ok && age > 31*time.Second {
				t.Fatalf("%s: a %v, c %v, %+v, %s old", what, gotA, gotC, s, age)
			}
		}
		look("first", true, false, true)
		write(t, path, "b@example.org\nc@example.org\n")
		look("changed", false, true, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		look("gone", false, true, false)
		time.Sleep(time.Hour)
		if _, _, age := d.Has("c", "example.org"); age < time.Hour {
			t.Errorf("says to be %s old after an hour", age)
		}
		write(t, path, "a@example.org\nnonsense\n")
		look("broken", false, true, false)
		write(t, path, "a@example.org\nc@example.org\n")
		look("mended", true, true, true)
		time.Sleep(time.Hour)
		look("unchanged for an hour", true, true, true)
		stop()
		<-ended
	})
}

// A server that is away is tried again sooner than one that is well is read again, and not without end.
func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: errors.New("away")}
		d := New(Options{Name: "d", Source: f, Every: 15 * time.Minute})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go d.Run(ctx)
		time.Sleep(time.Hour)
		synctest.Wait()
		f.mu.Lock()
		if f.reads < 12 || f.reads > 20 {
			t.Errorf("%d tries in an hour", f.reads)
		}
		f.err, f.addresses, f.reads = nil, numbered(3), 0
		f.mu.Unlock()
		time.Sleep(time.Hour + 6*time.Minute)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.reads < 4 || f.reads > 5 {
			t.Errorf("%d readings in an hour", f.reads)
		}
	})
}

// What is damaged anywhere is no copy.
func TestDamagedCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.copy")
	s := newSet()
	for _, a := range numbered(50) {
		if err := s.add(a); err != nil {
			t.Fatal(err)
		}
	}
	s.done()
	if err := writeCopy(path, s, time.Now()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for name, bad := range map[string][]byte{"cut": whole[:i], "changed": append(append(append([]byte{}, whole[:i]...), whole[i]^byte(1+rand.IntN(255))), whole[i+1:]...)} {
			if _, _, err := parseCopy(strings.NewReader(string(bad)), int64(len(bad))); err == nil {
				t.Fatalf("%s at %d: taken", name, i)
			}
		}
	}
	if err := os.WriteFile(path, whole[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	d := New(Options{Name: "d", Source: &fake{addresses: numbered(2)}, Copy: path})
	if err := d.Load(); err == nil || d.Status().Ready {
		t.Errorf("a damaged copy: %v, %+v", err, d.Status())
	}
	if err := d.Sync(t.Context(), false); err != nil || d.Status().Addresses != 2 {
		t.Errorf("after a damaged copy: %v, %+v", err, d.Status())
	}
}

// The oracle is a map of what was added.
func TestSet(t *testing.T) {
	s, want := newSet(), map[string]bool{}
	for range 20_000 {
		key := fmt.Sprintf("u%d@example.org", rand.IntN(30_000))
		want[key] = true
		if err := s.add(key); err != nil {
			t.Fatal(err)
		}
	}
	s.done()
	if len(s.hashes) != len(want) {
		t.Errorf("%d entries, want %d", len(s.hashes), len(want))
	}
	for i := range 30_000 {
		if key := fmt.Sprintf("u%d@example.org", i); s.has(key) != want[key] {
			t.Fatalf("%s: %v", key, s.has(key))
		}
	}
}

func TestBounded(t *testing.T) {
	s := newSet()
	s.hashes = make([]uint64, MaxAddresses) // all the same: one address
	if err := s.add("a@example.org"); err != nil || len(s.hashes) > 2 {
		t.Errorf("%d, %v", len(s.hashes), err)
	}
	s.hashes = make([]uint64, MaxAddresses)
	for i := range s.hashes {
		s.hashes[i] = uint64(i)
	}
	if err := s.add("a@example.org"); err == nil {
		t.Error("one more than may be was taken")
	}
}

func FuzzLines(f *testing.F) {
	f.Add("# x\na@example.org # y\n\n")
	f.Add("\xef\xbb\xbfa@example.org\r\nb")
	f.Fuzz(func(t *testing.T, text string) {
		err := readLines(t.Context(), strings.NewReader(text), keyed(t))
		if at, ok := errors.AsType[*LineError](err); ok && (at.Line < 1 || at.Line > strings.Count(text, "\n")+1) {
			t.Errorf("line %d of %q", at.Line, text)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add("mail,on\na@example.org,1\n", "mail", "on")
	f.Add("\"a@example.org\"\n\"", "1", "")
	f.Fuzz(func(t *testing.T, text, column, status string) {
		c := CSV{Column: column, Status: status, Active: []string{"1"}}
		_, _ = c.read(t.Context(), strings.NewReader(text), keyed(t))
	})
}

// keyed takes what is an address, and wants its key to be its own key.
func keyed(t *testing.T) func(string) error {
	return func(a string) error {
		key, err := Key(a)
		if err != nil {
			return err
		}
		local, domain, _ := cutLast(key)
		if lookup(local, domain) != key {
			t.Errorf("%q has the key %q, which is not found", a, key)
		}
		return nil
	}
}

func cutLast(key string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(key, '@')
	return key[:i], key[i+1:], i > 0
}

func FuzzCopy(f *testing.F) {
	s := newSet()
	_ = s.add("a@example.org")
	s.done()
	var b strings.Builder
	if err := s.write(&b, time.Unix(1, 0)); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(b.String()))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, at, err := parseCopy(strings.NewReader(string(data)), int64(len(data)))
		if err != nil {
			return
		}
		var b strings.Builder
		if err := s.write(&b, at); err != nil || b.String() != string(data) {
			t.Errorf("%x was read, and would be written as %x", data, b.String())
		}
	})
}

func BenchmarkHas(b *testing.B) {
	s := newSet()
	for i := range 1_000_000 {
		_ = s.add(fmt.Sprintf("u%d@example.org", i))
	}
	s.done()
	d := New(Options{})
	d.now.Store(&content{s, time.Now()})
	b.ReportAllocs()
	for b.Loop() {
		if found, _, _ := d.Has("u77777", "example.org"); !found {
			b.Fatal("not found")
		}
	}
}
