package smtpwire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// A message of exactly the limit is taken, one octet more is not.
func TestDataSize(t *testing.T) {
	for _, test := range []struct {
		in        string
		max       int64
		err       error
		size      int64
		delivered string
	}{
		{".\r\n", 1, nil, 0, ""},
		{"12345678\r\n.\r\n", 10, nil, 10, "12345678\r\n"},
		{"..2345678\r\n.\r\n", 10, nil, 10, ".2345678\r\n"},
		{"123456789\r\n.\r\n", 10, ErrTooBig, 11, "123456789\r"},
		{"12\r\n56\r\n9012\r\n.\r\n", 10, ErrTooBig, 14, "12\r\n56\r\n90"},
		{"12\r\n56\r\n9012\n\r\n.\r\n", 10, ErrTooBig, 15, "12\r\n56\r\n90"},
	} {
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			var out bytes.Buffer
			r := NewReader(wrap(strings.NewReader(test.in + "QUIT\r\n")))
			res, err := r.ReadData(&out, Limits{MaxSize: test.max})
			if err != test.err || res.Size != test.size || out.String() != test.delivered {
				t.Errorf("%q: %v, size %d, %q", test.in, err, res.Size, out.String())
			}
			if line, err := r.ReadLine(512); err != nil || string(line.Text) != "QUIT" {
				t.Errorf("%q: then %q, %v", test.in, line.Text, err)
			}
		}
	}
}

func TestDataMeasures(t *testing.T) {
	long := strings.Repeat("y", 100_000)
	in := "Subject: a\r\n\r\n..\r\n" + long + "\r\n\xe4\r\n.\r\n"
	res, err := NewReader(strings.NewReader(in)).ReadData(io.Discard, Limits{})
	want := Result{Size: int64(len(in)) - 4, Delivered: int64(len(in)) - 4, Lines: 5, LongestLine: 100_000, EightBit: true, Dots: []int64{14}}
	if err != nil || !reflect.DeepEqual(res, want) {
		t.Fatalf("%+v, %v, want %+v", res, err, want)
	}
	_, err = NewReader(strings.NewReader("a\r\nb\r\nc\nd\r\n.\r\n")).ReadData(io.Discard, Limits{})
	var content *ContentError
	if !errors.As(err, &content) || *content != (ContentError{BareLF, 7, 3}) {
		t.Fatalf("%v", err)
	}
}

// Every prefix of a stream is an unexpected end, never a message.
func TestDataCutOff(t *testing.T) {
	const in = "a\r\n..\r\n\r\n.x\r\n.\r\n"
	for n := range len(in) {
		_, err := NewReader(strings.NewReader(in[:n])).ReadData(io.Discard, Limits{})
		if err != io.ErrUnexpectedEOF || InStep(err) {
			t.Errorf("after %q: %v", in[:n], err)
		}
	}
	r := NewReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(in))))
	if _, err := r.ReadData(io.Discard, Limits{}); err != iotest.ErrTimeout || InStep(err) {
		t.Errorf("timeout: %v", err)
	}
}

// endless repeats one piece for ever.
type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}

// Whatever is sent without end, reading ends.
func TestFlood(t *testing.T) {
	for _, piece := range []string{"x", "x\r\n", "..\r\n", "\n", "\r\x00", "\x00"} {
		for _, normalise := range []bool{false, true} {
			lim := Limits{MaxSize: 1 << 20, MaxDiscard: 1 << 20, Normalise: normalise}
			var out bytes.Buffer
			if _, err := NewReader(endless(piece)).ReadData(&out, lim); err != ErrFlood || InStep(err) || out.Len() > 1<<20 {
				t.Errorf("DATA of %q: %v, %d octets kept", piece, err, out.Len())
			}
			chunks := NewChunks(io.Discard, lim)
			if err := chunks.Read(NewReader(endless(piece)), 1<<60, true); err != ErrFlood {
				t.Errorf("BDAT of %q: %v", piece, err)
			}
		}
	}
}

type fullDisk struct{ left int }

var errFull = errors.New("disk full")

func (f *fullDisk) Write(p []byte) (int, error) {
	n := min(f.left, len(p))
	if f.left -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

// A full disk is our trouble, not the sender's: the message is read to its
// end, so that it can be deferred in step.
func TestSinkFails(t *testing.T) {
	r := NewReader(strings.NewReader("abc\r\ndef\r\n.\r\nQUIT\r\n"))
	res, err := r.ReadData(&fullDisk{left: 5}, Limits{})
	var sink *SinkError
	if !errors.As(err, &sink) || !errors.Is(err, errFull) || !InStep(err) || res.Size != 10 || res.Delivered != 5 {
		t.Fatalf("%v, %+v", err, res)
	}
	if line, err := r.ReadLine(512); err != nil || string(line.Text) != "QUIT" {
		t.Fatalf("%q, %v", line.Text, err)
	}
}

func TestChunks(t *testing.T) {
	type chunk struct {
		text string
		last bool
	}
	for name, test := range map[string]struct {
		chunks    []chunk
		delivered string
		err       error // after the last chunk
		unended   bool
	}{
		"one":                 {[]chunk{{"a\r\n", true}}, "a\r\n", nil, false},
		"none":                {[]chunk{{"", true}}, "", nil, false},
		"dots stay":           {[]chunk{{"\r\n.\r\n..b\r\n", false}, {"", true}}, "\r\n.\r\n..b\r\n", nil, false},
		"CRLF over the edge":  {[]chunk{{"a\r", false}, {"\nb\r\n", true}}, "a\r\nb\r\n", nil, false},
		"no CRLF at the end":  {[]chunk{{"a\r\nb", true}}, "a\r\nb", nil, true},
		"CR over the edge":    {[]chunk{{"a\r", false}, {"b\r\n", true}}, "a", &ContentError{BareCR, 1, 1}, false},
		"CR at the end":       {[]chunk{{"a\r", true}}, "a", &ContentError{BareCR, 1, 1}, true},
		"CR, then LAST empty": {[]chunk{{"a\r", false}, {"", true}}, "a", &ContentError{BareCR, 1, 1}, true},
		"bare LF":             {[]chunk{{"a\r\nb\n", false}, {"c\r\n", true}}, "a\r\nb", &ContentError{BareLF, 4, 2}, false},
		"LF begins a chunk":   {[]chunk{{"a", false}, {"\n", true}}, "a", &ContentError{BareLF, 1, 1}, false},
		"NUL":                 {[]chunk{{"\x00", false}, {"c\r\n", true}}, "", &ContentError{NUL, 0, 1}, false},
		"too big":             {[]chunk{{"123456", false}, {"789\r\n0", false}, {"\r\n", true}}, "123456789\r", ErrTooBig, false},
	} {
		t.Run(name, func(t *testing.T) {
			var in strings.Builder
			for _, c := range test.chunks {
				in.WriteString(c.text)
				in.WriteString("BDAT\r\n") // the next command, must never be content
			}
			r := NewReader(iotest.OneByteReader(strings.NewReader(in.String())))
			var out bytes.Buffer
			k := NewChunks(&out, Limits{MaxSize: 10})
			var err error
			for i, c := range test.chunks {
				err = k.Read(r, int64(len(c.text)), c.last)
				if line, lineErr := r.ReadLine(512); lineErr != nil || string(line.Text) != "BDAT" {
					t.Fatalf("behind chunk %d: %q, %v", i, line.Text, lineErr)
				}
			}
			if !sameError(err, test.err) || out.String() != test.delivered || k.Result().Unended != test.unended {
				t.Fatalf("%v, %q, %+v", err, out.String(), k.Result())
			}
		})
	}
}

func TestParseBDAT(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int64
		last bool
		bad  bool
	}{
		{"0", 0, false, false},
		{"1000 LAST", 1000, true, false},
		{"0 last", 0, true, false},
		{"9223372036854775807", 1<<63 - 1, false, false},
		{"9223372036854775808", 0, false, true},
		{"", 0, false, true},
		{"LAST", 0, false, true},
		{"-1", 0, false, true},
		{"+1", 0, false, true},
		{"0x10", 0, false, true},
		{"5 LASTLY", 0, false, true},
		{"5  LAST", 0, false, true},
		{"5 LAST 6", 0, false, true},
		{"5LAST", 0, false, true},
	} {
		n, last, err := ParseBDAT(test.in)
		if n != test.n || last != test.last || errors.Is(err, ErrCommand) != test.bad {
			t.Errorf("%q: %d, %t, %v", test.in, n, last, err)
		}
	}
}

// A large message with dots at many line starts comes through whole, at every
// size of read, by the small and the large buffer, by DATA and by BDAT.
func TestLargeMessage(t *testing.T) {
	var msg strings.Builder
	for i := range 9000 {
		msg.WriteString(strings.Repeat(".", i%4) + strings.Repeat("x", i%97) + "\r\n")
	}
	var wire bytes.Buffer
	d := NewDotWriter(&wire)
	if _, err := io.WriteString(d, msg.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	wire.WriteString("QUIT\r\n")
	var pool Pool
	for _, cuts := range [][]byte{{0}, {75}, {0, 255, 3}, {255}} {
		var out bytes.Buffer
		r := pool.Get(&splitReader{rest: wire.Bytes(), cuts: cuts})
		res, err := r.ReadData(&out, Limits{})
		if err != nil || out.String() != msg.String() || res.Lines != 9000 || left(r) != "QUIT\r\n" {
			t.Fatalf("cuts %v: %v, %+v", cuts, err, res)
		}
		if len(r.buf) != LineBuffer {
			t.Fatal("a slow sender got the large buffer")
		}
		pool.Put(r)
	}
	for _, src := range []io.Reader{bytes.NewReader(wire.Bytes()), iotest.HalfReader(bytes.NewReader(wire.Bytes()))} {
		var out bytes.Buffer
		r := pool.Get(src)
		if _, err := r.ReadData(&out, Limits{}); err != nil || out.String() != msg.String() || left(r) != "QUIT\r\n" {
			t.Fatal(err)
		}
		pool.Put(r)
	}
	var out bytes.Buffer
	r, k := pool.Get(strings.NewReader(msg.String()+"QUIT\r\n")), NewChunks(&out, Limits{})
	half := int64(msg.Len() / 2)
	err := errors.Join(k.Read(r, half, false), k.Read(r, int64(msg.Len())-half, true))
	if err != nil || out.String() != msg.String() || k.Result().Lines != 9000 || left(r) != "QUIT\r\n" {
		t.Fatal(err)
	}
}

func TestChunkCutOff(t *testing.T) {
	var out bytes.Buffer
	k := NewChunks(&out, Limits{})
	err := k.Read(NewReader(strings.NewReader("1234")), 5, true)
	if err != io.ErrUnexpectedEOF || InStep(err) {
		t.Fatal(err)
	}
}
