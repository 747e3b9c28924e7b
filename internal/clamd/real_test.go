package clamd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

func client(t testing.TB, address string) *Client {
	t.Helper()
	c, err := New(Config{Address: address, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRealVerdicts(t *testing.T) {
	s := need(t, strict)
	for name, tc := range map[string]struct {
		data []byte
		want Finding
	}{
		"nothing":        {nil, Finding{Kind: Clean}},
		"one octet":      {[]byte("x"), Finding{Kind: Clean}},
		"a chunk":        {bytes.Repeat([]byte("a"), chunkSize), Finding{Kind: Clean}},
		"a chunk and 1":  {bytes.Repeat([]byte("a"), chunkSize+1), Finding{Kind: Clean}},
		"many chunks":    {bytes.Repeat([]byte("clean\r\n"), 200_000), Finding{Kind: Clean}},
		"eicar":          {eicar(), Finding{Kind: Infected, Signature: "Eicar-Test-Signature.UNOFFICIAL"}},
		"eicar at end":   {append(bytes.Repeat([]byte("b"), 3*chunkSize-5), eicar()...), Finding{Kind: Infected, Signature: "Eicar-Test-Signature.UNOFFICIAL"}},
		"second":         {[]byte("the second test signature here"), Finding{Kind: Infected, Signature: "Gatepost.Test-2.UNOFFICIAL"}},
		"third":          {[]byte("the third test signature here"), Finding{Kind: Infected, Signature: "PUA.Gatepost.Test-3.UNOFFICIAL", PUA: true}},
		"file too big":   {make([]byte, 2<<20+1), Finding{Kind: Exceeded, Signature: "Heuristics.Limits.Exceeded.MaxFileSize", Heuristic: true}},
		"stream's limit": {make([]byte, 3<<20), Finding{Kind: Exceeded, Signature: "Heuristics.Limits.Exceeded.MaxFileSize", Heuristic: true}},
	} {
		for _, address := range []string{s.unix, s.tcp, strings.TrimPrefix(s.unix, "unix:"), strings.TrimPrefix(s.tcp, "tcp:")} {
			r, err := client(t, address).Scan(t.Context(), bytes.NewReader(tc.data), int64(len(tc.data)))
			if err != nil {
				t.Errorf("%s at %s: %v", name, address, err)
				continue
			}
			if r.Finding != tc.want || r.Size != int64(len(tc.data)) {
				t.Errorf("%s at %s: got %+v of %d octets, want %+v", name, address, r.Finding, r.Size, tc.want)
			}
		}
	}
}

func TestRealStreamLimit(t *testing.T) {
	s := need(t, strict)
	for _, address := range []string{s.unix, s.tcp} {
		for _, size := range []int64{3<<20 + 1, 4 << 20, 60 << 20} {
			_, err := client(t, address).Scan(t.Context(), io.LimitReader(zeros{}, size), size)
			if !errors.Is(err, ErrTooBig) {
				t.Errorf("%d octets at %s: got %v, want %v", size, address, err, ErrTooBig)
			}
		}
	}
	c, err := New(Config{Address: s.unix, MaxSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Scan(t.Context(), strings.NewReader(""), 1001); !errors.Is(err, ErrTooBig) {
		t.Errorf("over our own limit: got %v, want %v", err, ErrTooBig)
	}
}

// brokenSource delivers good octets and then its error.
func brokenSource(good int64, err error) io.Reader {
	return io.MultiReader(io.LimitReader(zeros{}, good), errorReader{err})
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestRealBrokenSource(t *testing.T) {
	s := need(t, strict)
	disk := errors.New("disk on fire")
	for name, tc := range map[string]struct {
		r    io.Reader
		size int64
		want error
	}{
		"fails at once":       {brokenSource(0, disk), AnySize, disk},
		"fails in a chunk":    {brokenSource(1000, disk), AnySize, disk},
		"fails after a chunk": {brokenSource(chunkSize, disk), AnySize, disk},
		"cut off":             {brokenSource(1000, io.ErrUnexpectedEOF), AnySize, io.ErrUnexpectedEOF},
		"cut off, sized":      {brokenSource(1000, io.ErrUnexpectedEOF), 1000, io.ErrUnexpectedEOF},
		"too short":           {strings.NewReader("abc"), 4, ErrSource},
		"too short by chunks": {io.LimitReader(zeros{}, 2*chunkSize), 2*chunkSize + 1, ErrSource},
		"too long":            {strings.NewReader("abc"), 2, ErrSource},
		"too long by chunks":  {io.LimitReader(zeros{}, 2*chunkSize+1), 2 * chunkSize, ErrSource},
		"never anything":      {errorReader{nil}, AnySize, io.ErrNoProgress},
	} {
		r, err := client(t, s.unix).Scan(t.Context(), tc.r, tc.size)
		if !errors.Is(err, ErrSource) || !errors.Is(err, tc.want) || r != (Result{}) || Blames(err) || Repeatable(err) {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}

func TestRealCommands(t *testing.T) {
	s := need(t, strict)
	for _, address := range []string{s.unix, s.tcp} {
		c := client(t, address)
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		v, err := c.Version(t.Context())
		if err != nil || !strings.HasPrefix(v.Text, "ClamAV "+v.Engine) || v.Engine == "" {
			t.Errorf("version: %+v, %v", v, err)
		}
		r, err := c.Scan(t.Context(), strings.NewReader("hello"), 5)
		if err != nil || r.Version != v || r.Duration <= 0 {
			t.Errorf("a scan after VERSION: %+v, %v", r, err)
		}
		stats, err := c.Stats(t.Context())
		if err != nil || stats.Pools != "1" || !strings.HasPrefix(stats.State, "STATE: VALID") ||
			!strings.HasPrefix(stats.Threads, "THREADS: ") || !strings.HasPrefix(stats.Memstats, "MEMSTATS: ") ||
			!strings.HasPrefix(stats.Queue, "QUEUE: ") {
			t.Errorf("stats: %+v, %v", stats, err)
		}
		found, err := c.EICARProbe(t.Context())
		if err != nil || !found {
			t.Errorf("eicar: %v, %v", found, err)
		}
		if text, err := c.Probe(t.Context()); err != nil || text != v.Text {
			t.Errorf("probe: %q, %v", text, err)
		}
	}
}

func TestRealProbeLimit(t *testing.T) {
	for name, tc := range map[string]struct {
		get        func() (*service, error)
		upTo       int64
		least, max int64
	}{
		"wanted size is taken":        {strict, 2 << 20, 2 << 20, 2 << 20},
		"far below what is wanted":    {strict, 64 << 20, 2<<20 - limitPrecision, 2 << 20},
		"taken but not looked into":   {silent, 8 << 20, 3<<20 - limitPrecision, 3 << 20},
		"both, one below the other":   {silent, 64 << 20, 3<<20 - limitPrecision, 3 << 20},
		"all that the shipped has":    {roomy, 64 << 20, 64 << 20, 64 << 20},
		"just over what it has":       {roomy, 64<<20 + 1, 64<<20 - limitPrecision, 64 << 20},
		"the smallest that is probed": {strict, 1024, 1024, 1024},
	} {
		s := need(t, tc.get)
		for _, address := range []string{s.unix, s.tcp} {
			got, err := client(t, address).ProbeLimit(t.Context(), tc.upTo)
			if err != nil || got < tc.least || got > tc.max {
				t.Errorf("%s at %s: got %d, %v; want %d to %d", name, address, got, err, tc.least, tc.max)
			}
		}
	}
	if _, err := client(t, need(t, strict).unix).ProbeLimit(t.Context(), 1023); err == nil {
		t.Error("a limit below the smallest archive was probed")
	}
}

func TestRealParallel(t *testing.T) {
	c := client(t, need(t, strict).unix)
	var scans sync.WaitGroup
	for i := range 40 {
		scans.Go(func() {
			data := []byte(strings.Repeat(fmt.Sprint(i), 50_000))
			want := Clean
			if i%2 == 0 {
				data, want = append(data, eicar()...), Infected
			}
			r, err := c.Scan(t.Context(), bytes.NewReader(data), int64(len(data)))
			if err != nil || r.Kind != want {
				t.Errorf("scan %d: %+v, %v; want %v", i, r, err, want)
			}
		})
	}
	scans.Wait()
}

func TestRealCancelled(t *testing.T) {
	before := goroutines()
	c := client(t, need(t, strict).unix)
	ctx, cancel := context.WithCancel(t.Context())
	source := io.MultiReader(io.LimitReader(zeros{}, 2*chunkSize), cancelReader(cancel), io.LimitReader(zeros{}, chunkSize))
	r, err := c.Scan(ctx, source, AnySize)
	if !errors.Is(err, context.Canceled) || r != (Result{}) || Blames(err) {
		t.Errorf("got %+v, %v", r, err)
	}
	settle(t, before)
}

// cancelReader cancels when it is read, and is empty.
type cancelReader context.CancelFunc

func (c cancelReader) Read([]byte) (int, error) {
	c()
	time.Sleep(50 * time.Millisecond) // let the closing happen
	return 0, io.EOF
}

// BenchmarkScan25MiB measures the stream into a server that only counts, and
// BenchmarkRealScan25MiB the same with a real clamd's scanning.
func BenchmarkScan25MiB(b *testing.B) {
	benchmark(b, fake(b, "unix", func(conn conn) { conn.drain(); conn.say("stream: OK\x00") }))
}

func BenchmarkRealScan25MiB(b *testing.B) { benchmark(b, need(b, roomy).unix) }

func benchmark(b *testing.B, address string) {
	const size = 25 << 20
	data := bytes.Repeat([]byte("line of a message\r\n"), size/19+1)[:size]
	c := client(b, address)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		r, err := c.Scan(b.Context(), bytes.NewReader(data), size)
		if err != nil || r.Kind != Clean {
			b.Fatalf("%+v, %v", r, err)
		}
	}
}
