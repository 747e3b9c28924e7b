package smtpwire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// splitReader gives its octets in pieces of sizes taken from cuts, in turn.
type splitReader struct {
	rest []byte
	cuts []byte
	at   int
}

func (s *splitReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := 1
	if len(s.cuts) > 0 {
		n += int(s.cuts[s.at%len(s.cuts)])
		s.at++
	}
	n = copy(p, s.rest[:min(n, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

// left returns what r and its source still hold.
func left(r *Reader) string {
	rest, _ := io.ReadAll(r.src)
	return string(r.buf[r.r:r.w]) + string(rest)
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("EHLO a\r\nMAIL\nRCPT\r\n\x00\r\n\rx\r\n"), []byte{3}, 8)
	f.Add([]byte(strings.Repeat("x", 100)+"\r\nQUIT\r\n"), []byte{}, 20)
	f.Add([]byte("\r\n\n\r\r\n"), []byte{1, 2}, 512)
	f.Fuzz(func(t *testing.T, in, cuts []byte, limit int) {
		whole := readLines(t, NewReader(bytes.NewReader(in)), limit)
		split := readLines(t, NewReader(&splitReader{rest: in, cuts: cuts}), limit)
		if !reflect.DeepEqual(whole, split) {
			t.Fatalf("by the split:\n%v\n%v", whole, split)
		}
	})
}

type readLine struct {
	text string
	end  LineEnd
	err  error
}

func readLines(t *testing.T, r *Reader, limit int) (all []readLine) {
	for {
		line, err := r.ReadLine(limit)
		if err == nil && (bytes.ContainsAny(line.Text, "\r\n\x00") || line.End != EndCRLF) {
			t.Fatalf("good line %q end %d", line.Text, line.End)
		}
		if len(line.Text) > max(limit, 2) || len(line.Text) > LineBuffer {
			t.Fatalf("line of %d octets, limit %d", len(line.Text), limit)
		}
		all = append(all, readLine{string(line.Text), line.End, err})
		if !InStep(err) {
			return all
		}
	}
}

func FuzzData(f *testing.F) {
	for _, s := range smuggling {
		f.Add([]byte("a"+s.seq+second), []byte{0, 7}, int64(1000), false)
		f.Add([]byte(s.seq+second), []byte{2}, int64(5), true)
	}
	f.Add([]byte(strings.Repeat("..\r\ntext\r\n", 900)+".\r\n"), []byte{255, 9}, int64(1<<20), false)
	f.Fuzz(func(t *testing.T, in, cuts []byte, limit int64, normalise bool) {
		lim := Limits{MaxSize: limit, MaxDiscard: 1 << 10, Normalise: normalise}
		whole, split := NewReader(bytes.NewReader(in)), NewReader(&splitReader{rest: in, cuts: cuts})
		var out, out2 bytes.Buffer
		res, err := whole.ReadData(&out, lim)
		res2, err2 := split.ReadData(&out2, lim)
		if !errors.Is(err, ErrFlood) && (!reflect.DeepEqual(res, res2) || !sameError(err, err2) || !bytes.Equal(out.Bytes(), out2.Bytes())) {
			t.Fatalf("by the split:\n%+v %v %q\n%+v %v %q", res, err, out.Bytes(), res2, err2, out2.Bytes())
		}
		lending, lent := NewReader(&splitReader{rest: in, cuts: cuts}), &roomy{size: 5 + len(cuts)}
		lending.take()
		lending.buf = lending.small[:1] // the first octet fills it, so that it borrows
		res3, err3 := lending.ReadData(lent, lim)
		if !errors.Is(err, ErrFlood) && (!reflect.DeepEqual(res, res3) || !sameError(err, err3) || !bytes.Equal(out.Bytes(), lent.mem)) {
			t.Fatalf("into lent memory:\n%+v %v %q\n%+v %v %q", res, err, out.Bytes(), res3, err3, lent.mem)
		}
		if int64(out.Len()) != res.Delivered || (limit > 0 && res.Delivered > limit) {
			t.Fatalf("delivered %d octets, says %d, limit %d", out.Len(), res.Delivered, limit)
		}
		if !InStep(err) {
			return
		}
		// It ended at the first true CRLF.CRLF and nowhere else.
		rest := left(whole)
		used := "\r\n" + string(in[:len(in)-len(rest)])
		if strings.Index(used, "\r\n.\r\n") != len(used)-len("\r\n.\r\n") || rest != left(split) || rest != left(lending) {
			t.Fatalf("ended behind %q", used)
		}
		if err == nil {
			checkDelivered(t, out.Bytes(), in[:len(in)-len(rest)], res)
		}
	})
}

// roomy is a Room that lends a few octets at a time, each time from another
// place, and spoils what it lent before.
type roomy struct {
	mem, last []byte
	size      int
}

func (r *roomy) Write(p []byte) (int, error) {
	r.spoil()
	r.mem = append(r.mem, p...)
	return len(p), nil
}

func (r *roomy) spoil() {
	for i := range r.last {
		r.last[i] = '!'
	}
}

func (r *roomy) Room(most int) ([]byte, error) {
	r.spoil()
	r.last = make([]byte, min(r.size, most))
	return r.last, nil
}

func (r *roomy) Keep(n int) { r.mem = append(r.mem, r.last[:n]...) }

func sameError(a, b error) bool {
	var x, y *ContentError
	if errors.As(a, &x) && errors.As(b, &y) {
		return *x == *y
	}
	return a == b
}

// checkDelivered holds a good message against its restuffing and, if it was
// clean, against another reader.
func checkDelivered(t *testing.T, msg, raw []byte, res Result) {
	if res.Size != int64(len(msg)) || res.Unended {
		t.Fatalf("result %+v of %q", res, msg)
	}
	if bytes.IndexByte(msg, 0) >= 0 {
		t.Fatalf("NUL delivered: %q", msg)
	}
	var wire bytes.Buffer
	d := NewDotWriter(&wire)
	if _, err := d.Write(msg); err != nil {
		t.Fatalf("delivered %q: %v", msg, err)
	}
	if added, err := d.Finish(); added || err != nil {
		t.Fatalf("delivered %q: added %t, %v", msg, added, err)
	}
	checkDots(t, msg, wire.String(), res)
	if i := strings.Index("\r\n"+wire.String(), "\r\n.\r\n"); i != wire.Len()-3 {
		t.Fatalf("restuffed ends early: %q", wire.Bytes())
	}
	if res.Repaired > 0 || raw == nil { // by BDAT
		return
	}
	std, err := io.ReadAll(textproto.NewReader(bufio.NewReader(bytes.NewReader(raw))).DotReader())
	if err != nil || !bytes.Equal(std, bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n"))) {
		t.Fatalf("textproto reads %q (%v), we %q", std, err, msg)
	}
}

// checkDots holds what a clean message's dots make of it against what a DotWriter made.
func checkDots(t *testing.T, msg []byte, wire string, res Result) {
	if !res.Clean() {
		if res.Repaired == 0 && !res.Unended && bytes.Count(append([]byte("\n"), msg...), []byte("\n.")) <= maxDots {
			t.Fatalf("not clean: %q, %+v", msg, res)
		}
		return
	}
	var stuffed []byte
	from := int64(0)
	for _, at := range res.Dots {
		stuffed = append(append(stuffed, msg[from:at]...), '.')
		from = at
	}
	if stuffed = append(append(stuffed, msg[from:]...), ".\r\n"...); string(stuffed) != wire {
		t.Fatalf("by its dots %q, by the dot-writer %q", stuffed, wire)
	}
}

func FuzzBDAT(f *testing.F) {
	f.Add([]byte("a\r\n.\r\nb"), []byte{3, 0, 4}, int64(100), false)
	f.Add([]byte("\r\r\n\x00"), []byte{1}, int64(3), true)
	f.Add([]byte("\r\n\r\n"), []byte{1, 2}, int64(4), false)
	f.Add([]byte(strings.Repeat("..\r\ntext\r\n", 900)), []byte{255, 9}, int64(1<<20), false)
	f.Fuzz(func(t *testing.T, in, chunks []byte, limit int64, normalise bool) {
		lim := Limits{MaxSize: limit, MaxDiscard: 1 << 10, Normalise: normalise}
		var out, out2 bytes.Buffer
		one := NewChunks(&out, lim)
		err := one.Read(NewReader(bytes.NewReader(in)), int64(len(in)), true)

		many, r, rest := NewChunks(&out2, lim), NewReader(&splitReader{rest: in, cuts: chunks}), len(in)
		var err2 error
		for _, n := range chunks {
			err2 = many.Read(r, int64(min(int(n), rest)), false)
			rest -= min(int(n), rest)
			if !InStep(err2) {
				break
			}
		}
		if InStep(err2) {
			err2 = many.Read(r, int64(rest), true)
		}
		if errors.Is(err, ErrFlood) || errors.Is(err2, ErrFlood) {
			if !errors.Is(err, ErrFlood) || !errors.Is(err2, ErrFlood) {
				t.Fatalf("flood by the chunks: %v, %v", err, err2)
			}
			return
		}
		if !reflect.DeepEqual(one.Result(), many.Result()) || !sameError(err, err2) || !bytes.Equal(out.Bytes(), out2.Bytes()) {
			t.Fatalf("by the chunks:\n%+v %v %q\n%+v %v %q", one.Result(), err, out.Bytes(), many.Result(), err2, out2.Bytes())
		}
		clean := strings.ReplaceAll(string(in), "\r\n", "")
		if dirty := strings.ContainsAny(clean, "\r\n\x00"); err == nil && !normalise && (dirty || !bytes.Equal(out.Bytes(), in)) {
			t.Fatalf("%q taken as %q", in, out.Bytes())
		}
		if err == nil && !one.Result().Unended {
			checkDelivered(t, out.Bytes(), nil, one.Result())
		}
	})
}

func FuzzDotWriter(f *testing.F) {
	f.Add([]byte(".\r\n..\r\na\r\n.b"), []byte{0})
	f.Add([]byte("a\r\n\r\n.\r\n"), []byte{1, 1, 5})
	f.Add([]byte("a\r.\r\n"), []byte{1})
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		var wire bytes.Buffer
		d := NewDotWriter(&wire)
		// The split reader hands the DotWriter its slices.
		_, err := io.Copy(struct{ io.Writer }{d}, struct{ io.Reader }{&splitReader{rest: in, cuts: cuts}})
		added, finErr := d.Finish()
		if err == nil {
			err = finErr
		}
		kind, at := firstViolation(in, new(content).scanLines(in))
		var bad *ContentError
		switch {
		case kind != 0:
			if !errors.As(err, &bad) || bad.Violation != kind || bad.Offset != int64(at) {
				t.Fatalf("%q: %v, want %v at %d", in, err, kind, at)
			}
			if bytes.Contains(append([]byte("\r\n"), wire.Bytes()...), []byte("\r\n.\r\n")) {
				t.Fatalf("a refused message was ended: %q", wire.Bytes())
			}
			return
		case err != nil:
			t.Fatalf("%q: %v", in, err)
		}
		want := bytes.Clone(in)
		if added {
			want = append(want, "\r\n"...)
		}
		if added != (len(in) > 0 && !bytes.HasSuffix(in, []byte("\r\n"))) {
			t.Fatalf("%q: added %t", in, added)
		}
		var back bytes.Buffer
		r := NewReader(iotest.HalfReader(bytes.NewReader(wire.Bytes())))
		if _, err := r.ReadData(&back, Limits{}); err != nil || !bytes.Equal(back.Bytes(), want) || left(r) != "" {
			t.Fatalf("%q came back as %q: %v", want, back.Bytes(), err)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b.c", `"a b\"@\\"@x.org`, `""@x`, "ü@ü.de", "a@[1.2.3.4]", "a@[IPv6:::1]", "a@[IPv6:::ffff:1.2.3.4]",
		"postmaster", "a@XN--NXASMQ6B.de", "@a:b@c", "a..b@c", "a%b@c", "a@b.", "a@faß.de", "a@ℂ.com", "a@b。c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseAddress(s, true); err == nil {
			if b, err := ParseAddress(a.String(), true); err != nil || b != a {
				t.Fatalf("%q is %+v; %q is %+v, %v", s, a, a.String(), b, err)
			}
			if _, err := ParseAddress(s, false); (err == nil) != a.IsASCII() {
				t.Fatalf("%q without SMTPUTF8: %v", s, err)
			}
		}
		checkPath(t, s, ParseReversePath)
		checkPath(t, s, ParseForwardPath)
	})
}

func checkPath(t *testing.T, s string, parse func(string, bool) (Address, string, Lax, error)) {
	in := "<" + s + ">"
	a, rest, _, err := parse(in, true)
	if err != nil {
		return
	}
	if !strings.HasSuffix(in, rest) {
		t.Fatalf("%q leaves %q", in, rest)
	}
	b, rest, _, err := parse(a.Wire()+" X", true)
	if err != nil || b != a || rest != " X" {
		t.Fatalf("%q is %+v; %q is %+v, %q, %v", in, a, a.Wire(), b, rest, err)
	}
	if hasControl(a.Wire()) || !isASCII(a.ASCII) {
		t.Fatalf("%q is written %q", in, a.Wire())
	}
	path, ok := a.WireASCII()
	if !ok {
		return
	}
	c, _, _, err := parse(path, false)
	if err != nil || c.Key() != a.Key() || !c.Equal(a) || c.ASCII != a.ASCII {
		t.Fatalf("%q in ASCII is %q: %+v, %v", in, path, c, err)
	}
}

func FuzzArguments(f *testing.F) {
	for _, s := range []string{"MAIL FROM:<> SIZE=1 BODY=8bitmime RET=full ENVID=a+20b", "MAIL FROM: <a@b>  SMTPUTF8",
		"RCPT TO:<Postmaster> NOTIFY=success,delay ORCPT=rfc822;a+40b", "RCPT TO:<ü@b> ORCPT=utf-8;ü@b", "EHLO a_b.c. x", "mail from:a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, arg, err := ParseCommand([]byte(s))
		if err != nil {
			return
		}
		offer := Offer{true, true, true, true, true}
		if m, err := ParseMail(arg, offer); err == nil {
			if !m.UTF8 && !m.From.IsASCII() || m.Size < 0 || hasControl(m.EnvID) {
				t.Fatalf("%q: %+v", s, m)
			}
			if id, err := DecodeXtext(EncodeXtext(m.EnvID)); err != nil || id != m.EnvID {
				t.Fatalf("ENVID %q comes back as %q, %v", m.EnvID, id, err)
			}
		}
		if r, err := ParseRcpt(arg, offer, false); err == nil {
			if !r.To.IsASCII() || r.To.IsNull() || hasControl(r.ORCPT+r.ORCPTAddr) || strings.ContainsAny(r.ORCPT, " =") {
				t.Fatalf("%q: %+v", s, r)
			}
		}
		if h, err := ParseHelo(arg); err == nil && (hasControl(h.Name) || !isASCII(h.Name)) {
			t.Fatalf("%q: %+v", s, h)
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 2.1.0 ok\r\n", "250-a\r\n250-SIZE 5\r\n250 X\r\n", "550-5.1.1 no\r\n550 5.1.1 such\r\n", "220\r\n",
		"250 5.1.1 odd\r\n", "550 5.1.1\r\n", "550 5.01.1 x\r\n", "250-a\r\n251 b\r\n", "199 x\r\n", "250 a\nb\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rep, err := NewReader(bytes.NewReader(in)).ReadReply()
		if err != nil {
			if InStep(err) {
				t.Fatalf("in step after %v", err)
			}
			return
		}
		rep2, err := NewReader(&splitReader{rest: in}).ReadReply()
		if err != nil || !reflect.DeepEqual(rep, rep2) {
			t.Fatalf("by the split: %+v, %+v, %v", rep, rep2, err)
		}
		// Written on it is one clean reply with the same codes.
		wire := rep.Append(nil)
		r := NewReader(bytes.NewReader(wire))
		again, err := r.ReadReply()
		if err != nil || again.Code != rep.Code || len(again.Lines) != len(rep.Lines) || left(r) != "" {
			t.Fatalf("%+v is written %q, read %+v, %v", rep, wire, again, err)
		}
		if !rep.Enhanced.IsZero() && again.Enhanced != rep.Enhanced {
			t.Fatalf("enhanced %v comes back as %v", rep.Enhanced, again.Enhanced)
		}
		for line := range strings.SplitAfterSeq(string(wire), "\r\n") {
			if len(line) > maxReplyLine || hasControl(strings.TrimSuffix(line, "\r\n")) || !isASCII(line) {
				t.Fatalf("line %q", line)
			}
		}
	})
}
