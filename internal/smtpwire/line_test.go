package smtpwire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 30)
	type want struct {
		text string
		end  LineEnd
		err  error
	}
	for name, test := range map[string]struct {
		in   string
		want []want
	}{
		"good":             {"NOOP\r\n\r\nQUIT\r\n", []want{{"NOOP", EndCRLF, nil}, {"", EndCRLF, nil}, {"QUIT", EndCRLF, nil}, {"", 0, io.EOF}}},
		"bare LF":          {"a\nb\r\n", []want{{"a", EndLF, ErrBareLF}, {"b", EndCRLF, nil}, {"", 0, io.EOF}}},
		"bare CR":          {"a\rb\r\nc\r\n", []want{{"a\rb", EndCRLF, ErrBareCR}, {"c", EndCRLF, nil}, {"", 0, io.EOF}}},
		"two CR":           {"a\r\r\n", []want{{"a\r", EndCRLF, ErrBareCR}, {"", 0, io.EOF}}},
		"bare CR, bare LF": {"a\rb\n", []want{{"a\rb", EndLF, ErrBareCR}, {"", 0, io.EOF}}},
		"NUL":              {"a\x00b\r\n", []want{{"a\x00b", EndCRLF, ErrNUL}, {"", 0, io.EOF}}},
		"NUL and LF":       {"\x00\n", []want{{"\x00", EndLF, ErrNUL}, {"", 0, io.EOF}}},
		"at the limit":     {long[:18] + "\r\n", []want{{long[:18], EndCRLF, nil}, {"", 0, io.EOF}}},
		"over the limit":   {long[:19] + "\r\nQUIT\r\n", []want{{long[:19] + "\r", EndCRLF, ErrLineTooLong}, {"QUIT", EndCRLF, nil}, {"", 0, io.EOF}}},
		"far over":         {strings.Repeat(long, 500) + "\r\nQUIT\r\n", []want{{long[:20], EndCRLF, ErrLineTooLong}, {"QUIT", EndCRLF, nil}, {"", 0, io.EOF}}},
		"over with LF":     {long + "\nQUIT\r\n", []want{{long[:20], EndLF, ErrLineTooLong}, {"QUIT", EndCRLF, nil}, {"", 0, io.EOF}}},
		"without end":      {strings.Repeat("x", 200<<10), []want{{"", 0, ErrFlood}}},
		"cut off":          {"QUI", []want{{"", 0, io.ErrUnexpectedEOF}}},
		"cut off at CR":    {"QUIT\r", []want{{"", 0, io.ErrUnexpectedEOF}}},
		"cut off, long":    {long, []want{{"", 0, io.ErrUnexpectedEOF}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in)),
				iotest.DataErrReader(strings.NewReader(test.in))} {
				r := NewReader(src)
				for i, want := range test.want {
					line, err := r.ReadLine(20)
					if string(line.Text) != want.text || line.End != want.end || !errors.Is(err, want.err) {
						t.Fatalf("line %d: %q %d %v, want %q %d %v", i, line.Text, line.End, err, want.text, want.end, want.err)
					}
				}
			}
		})
	}
}

func TestPipelinedBehindData(t *testing.T) {
	var pool Pool
	many := strings.Repeat("NOOP\r\n", 2000) // more than the small buffer
	r := pool.Get(strings.NewReader("DATA\r\nx\r\n.\r\n" + many))
	if _, err := r.ReadLine(512); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadData(io.Discard, Limits{}); err != nil || !r.LineBuffered() {
		t.Fatalf("%v, line waits %t", err, r.LineBuffered())
	}
	for range 2000 {
		if line, err := r.ReadLine(512); err != nil || string(line.Text) != "NOOP" {
			t.Fatalf("%q %v", line.Text, err)
		}
	}
	if len(r.buf) != LineBuffer || r.Buffered() != 0 || r.LineBuffered() {
		t.Fatalf("keeps %d octets of buffer, %d in it", len(r.buf), r.Buffered())
	}
	if want := int64(len("DATA\r\nx\r\n.\r\n") + len(many)); r.Consumed() != want {
		t.Fatalf("consumed %d, want %d", r.Consumed(), want)
	}
	pool.Put(r)
}

// After STARTTLS nothing of the clear text may be left to be read.
func TestResetDropsClearText(t *testing.T) {
	var pool Pool
	r := pool.Get(strings.NewReader("STARTTLS\r\nMAIL FROM:<evil@x>\r\n"))
	if _, err := r.ReadLine(512); err != nil {
		t.Fatal(err)
	}
	if r.Buffered() == 0 {
		t.Fatal("the injected command is not seen")
	}
	r.Reset(strings.NewReader("EHLO a\r\n"))
	if bytes.Contains(r.buf, []byte("evil")) || r.Buffered() != 0 {
		t.Fatal("clear text is still in the buffer")
	}
	if line, err := r.ReadLine(512); err != nil || string(line.Text) != "EHLO a" {
		t.Fatalf("%q %v", line.Text, err)
	}
	pool.Put(r)
}

// What was not consumed does not travel to another connection in a buffer.
func TestPutWipes(t *testing.T) {
	var pool Pool
	text := "x\r\n.\r\n" + strings.Repeat("secret\r\n", 10000)
	r := pool.Get(strings.NewReader(strings.Repeat("y", LineBuffer) + text))
	if _, err := r.ReadData(io.Discard, Limits{}); err != nil {
		t.Fatal(err)
	}
	large, small := r.buf, r.small
	if len(large) != bodyBuffer || r.Buffered() <= LineBuffer {
		t.Fatalf("%d octets wait in a buffer of %d", r.Buffered(), len(large))
	}
	pool.Put(r)
	if r.buf != nil || r.small != nil {
		t.Fatal("an idle Reader keeps a buffer")
	}
	if bytes.Contains(large, []byte("secret")) || bytes.Contains(small, []byte("secret")) {
		t.Fatal("unread input is still in a buffer")
	}
}

func TestBeforeRead(t *testing.T) {
	r := NewReader(strings.NewReader("A\r\nB\r\n"))
	calls, stop := 0, errors.New("too slow")
	r.BeforeRead(func() error {
		if calls++; calls > 1 {
			return stop
		}
		return nil
	})
	for range 2 {
		if _, err := r.ReadLine(512); err != nil || calls != 1 {
			t.Fatalf("%v after %d reads", err, calls)
		}
	}
	for range 2 { // the error stays
		if _, err := r.ReadLine(512); err != stop || calls != 2 || InStep(err) {
			t.Fatalf("%v after %d reads", err, calls)
		}
	}
}

func TestPeekAndBrokenSources(t *testing.T) {
	r := NewReader(strings.NewReader("\x16\x03\x01"))
	b, err := r.Peek(2)
	if err != nil || string(b) != "\x16\x03" || r.Buffered() != 3 || Sniff(b) != AlienTLS {
		t.Fatalf("%q %v", b, err)
	}
	if _, err := NewReader(strings.NewReader("")).Peek(1); err != io.EOF {
		t.Fatal(err)
	}
	if _, err := NewReader(silent{}).ReadLine(20); err != io.ErrNoProgress {
		t.Fatal(err)
	}
	// A timeout in mid-line is the connection's error, never a line.
	r = NewReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("QUIT\r\n"))))
	if _, err := r.ReadLine(20); err != iotest.ErrTimeout || InStep(err) {
		t.Fatal(err)
	}
}

// A client that waits for the banner, as it should, is read afterwards.
func TestPeekTimeoutDoesNotStay(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	r := NewReader(server)
	for range 2 {
		if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if b, err := r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) || b != nil {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go client.Write([]byte("QUIT\r\n"))
	if line, err := r.ReadLine(512); err != nil || string(line.Text) != "QUIT" {
		t.Fatalf("%q, %v", line.Text, err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }
