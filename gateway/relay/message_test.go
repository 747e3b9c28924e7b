package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// inFile is a file that has text behind some octets that are not of it.
func inFile(t testing.TB, text string) io.Reader {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "body")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString("From: before\r\n" + text); err != nil {
		t.Fatal(err)
	}
	return io.NewSectionReader(f, 14, int64(len(text)))
}

// measured is what the strict reader knows of a message.
func measured(t testing.TB, text string) smtpwire.Result {
	t.Helper()
	k := smtpwire.NewChunks(io.Discard, smtpwire.Limits{})
	if err := k.Read(smtpwire.NewReader(strings.NewReader(text)), int64(len(text)), true); err != nil {
		t.Fatal(err)
	}
	return k.Result()
}

// forms are all ways in which a message can lie when it is relayed.
func forms(t testing.TB, head, rest string) map[string]gateway.Content {
	t.Helper()
	res := measured(t, rest)
	size := int64(len(head) + len(rest))
	part := func(text string) io.Reader { return bytes.NewReader([]byte(text)) }
	return map[string]gateway.Content{
		"memory":       {Parts: []io.Reader{part(head), part(rest)}, Size: size},
		"file":         {Parts: []io.Reader{part(head), inFile(t, rest)}, Size: size},
		"stream":       {Parts: []io.Reader{strings.NewReader(head), io.MultiReader(strings.NewReader(rest))}, Size: size},
		"clean memory": {Parts: []io.Reader{part(head), part(rest)}, Size: size, Clean: res.Clean(), Dots: res.Dots},
		"clean file":   {Parts: []io.Reader{part(head), inFile(t, rest)}, Size: size, Clean: res.Clean(), Dots: res.Dots},
		"clean stream": {Parts: []io.Reader{part(head), io.MultiReader(strings.NewReader(rest))}, Size: size, Clean: res.Clean(), Dots: res.Dots},
		"behind a part of a line": {Parts: []io.Reader{part(head), part("X: "), part(rest)}, Size: size + 3,
			Clean: res.Clean(), Dots: res.Dots},
	}
}

// bodies are messages around every border, with dots wherever they can be.
func bodies() map[string]string {
	line := strings.Repeat("x", 70) + "\r\n"
	all := map[string]string{"empty": "", "a line end": "\r\n", "dots alone": ".\r\n..\r\n...\r\n", "ends with a dot line": "\r\na\r\n.\r\n",
		"begins with a dot": ".x\r\n" + strings.Repeat(line, 2000), "a dot in the middle": strings.Repeat(line, 3000) + ".\r\n" + strings.Repeat(line, 3000),
		"many dots": strings.Repeat(line+".\r\n", 40), "too many dots": strings.Repeat(line+"..\r\n", 4000),
		"dots far apart": strings.Repeat(strings.Repeat(line, 700)+".dot\r\n", 5)}
	for _, size := range []int{minLend, fileTail, 2 * fileTail, ownBuffer, readBuffer, maxWrite, 3*maxWrite + 4711} {
		for d := -1; d <= 1; d++ {
			n := size + d
			all[fmt.Sprintf("%d octets", n)] = strings.Repeat(line, n/len(line)) + strings.Repeat("y", n%len(line)) + "\r\n"
		}
	}
	return all
}

// However a message lies, the next hop gets its octets and nothing else, in clear and over TLS, by DATA and by BDAT.
func TestEveryFormArrives(t *testing.T) {
	key := newAuthority(t).issue("inner.example", time.Now().Add(time.Hour), nil)
	for name, rest := range bodies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, how := range []string{"DATA", "TLS", "BDAT"} {
				f := newFake(t, append([]string{"CHUNKING", "STARTTLS"}, everything...)...)
				f.tls = &tls.Config{Certificates: []tls.Certificate{key}}
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: map[string]Mode{"DATA": None, "TLS": Opportunistic, "BDAT": None}[how],
					Timeouts: long(), Chunking: how == "BDAT"})
				n := 0
				for form, content := range forms(t, "Subject: ..\r\n.odd: x\r\n", rest) {
					d := delivery("")
					d.Content = content
					got := r.Relay(t.Context(), d)
					want := "Subject: ..\r\n.odd: x\r\n" + rest
					if strings.HasPrefix(form, "behind") {
						want = "Subject: ..\r\n.odd: x\r\nX: " + rest
					}
					if !strings.HasSuffix(want, "\r\n") && how != "BDAT" {
						want += "\r\n"
					}
					messages, _, _ := f.seen()
					if n++; got.Result != gateway.Delivered || len(messages) != n || messages[n-1] != want {
						t.Fatalf("%s, %s: %+v, %d messages, the last of %d octets, want %d", how, form, got, len(messages), len(messages[max(len(messages)-1, 0)]), len(want))
					}
				}
			}
		})
	}
}

// What is said to be clean and is not, as far as that can be seen at little cost, goes through the dot-writer; and no
// message is ended that is shorter or longer than its size.
func TestNotCleanAfterAll(t *testing.T) {
	big := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5000)
	for _, tt := range []struct {
		name, text string
		dots       []int64
		whole      bool
	}{
		{"no line end", big + "end", nil, true},
		{"a dot first", ".\r\n" + big, nil, true},
		{"a dot that is none", big, []int64{72}, true},
		{"a dot within a line", "a.b\r\n" + big, []int64{1}, true},
		{"dots not in order", ".\r\n.\r\n" + big, []int64{3, 0}, true},
		{"a dot behind the end", big, []int64{int64(len(big))}, true},
		{"a dot before the beginning", big, []int64{-1}, true},
		{"a bare LF at the end", big + "\n", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for where, part := range map[string]io.Reader{"memory": bytes.NewReader([]byte(tt.text)), "file": inFile(t, tt.text)} {
				f := newFake(t, everything...)
				d := delivery("")
				d.Content = gateway.Content{Parts: []io.Reader{part}, Size: int64(len(tt.text)), Clean: true, Dots: tt.dots}
				got := relayTo(t, f).Relay(t.Context(), d)
				messages, _, _ := f.seen()
				want := strings.TrimSuffix(tt.text, "\r\n") + "\r\n"
				if !tt.whole {
					if got.Result != gateway.NotDelivered || len(messages) > 0 {
						t.Errorf("%s: %+v, %d messages", where, got, len(messages))
					}
				} else if got.Result != gateway.Delivered || len(messages) != 1 || messages[0] != want {
					t.Errorf("%s: %+v, %d messages", where, got, len(messages))
				}
			}
		})
	}
	for _, wrong := range []int64{-1, 1} {
		for form, content := range forms(t, "A: b\r\n", "\r\n"+big) {
			f := newFake(t, everything...)
			d := delivery("")
			d.Content = content
			d.Content.Size += wrong
			got := relayTo(t, f).Relay(t.Context(), d)
			if messages, _, _ := f.seen(); got.Result != gateway.NotDelivered || got.At != "body" || len(messages) > 0 {
				t.Errorf("%s, size wrong by %d: %+v, %d messages", form, wrong, got, len(messages))
			}
		}
	}
}

// A file that is cut while it is sent is no message. It is so large that the sockets cannot hold it, and the next hop takes
// no more than its beginning before it is cut.
func TestFileIsCut(t *testing.T) {
	big := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 400_000)
	for _, clean := range []bool{true, false} {
		for _, size := range []int64{0, 20_000_000} {
			part := inFile(t, big).(*io.SectionReader)
			in, _, _ := part.Outer()
			hop := newFake(t, everything...)
			hop.set("BODY", func(s *fakeSession) bool {
				_, _ = io.CopyN(io.Discard, s.in, 100)
				if err := in.(*os.File).Truncate(size); err != nil {
					t.Error(err)
				}
				tail, _ := io.ReadAll(s.in)
				if bytes.HasSuffix(tail, []byte("\r\n.\r\n")) {
					t.Error("a part of a message was ended")
				}
				return false
			})
			d := delivery("")
			d.Content = gateway.Content{Parts: []io.Reader{part}, Size: int64(len(big)), Clean: clean}
			r := relayTo(t, hop)
			got := r.Relay(t.Context(), d)
			if got.Result != gateway.NotDelivered || got.Reply.Code != 451 || got.At != "body" {
				t.Errorf("clean %v, cut to %d: got %+v", clean, size, got)
			}
			if h := r.Health()[0]; h.Failures > 0 || h.Idle > 0 {
				t.Errorf("the next hop is blamed, or its connection kept: %+v", h)
			}
		}
	}
}
