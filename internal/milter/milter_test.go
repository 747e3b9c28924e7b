package milter_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/milter"
)

func message(body string) *milter.Message {
	return &milter.Message{ID: "K7Q29", Host: "mx.served.example", Daemon: "gatepost", Client: "mail.example.org", IP: "192.0.2.9", Port: 4711,
		Helo: "mail.example.org", From: "<a@example.org>", FromArgs: []string{"SIZE=100"}, Rcpts: []string{"<b@example.com>", "<c@example.com>"}, Protocol: "ESMTP",
		Header: [][2]string{{"From", " a@example.org"}, {"To", " b@example.com"}, {"Message-ID", " <1@example.org>"}, {"Subject", " a\r\n test"}},
		Body:   strings.NewReader(body), Size: int64(len(body))}
}

func client(t testing.TB, address string) *milter.Client {
	t.Helper()
	c, err := milter.New(milter.Config{Address: address, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func packet(command byte, data string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	return string(append(b, command)) + data
}

func agreed(version, actions, steps uint32) string {
	b := binary.BigEndian.AppendUint32(nil, version)
	b = binary.BigEndian.AppendUint32(b, actions)
	return packet('O', string(binary.BigEndian.AppendUint32(b, steps)))
}

// script is a filter: what it says to each command, by its letter and, where it differs, its count ("R2"). Without an entry
// it goes on.
type script map[string]string

// notes is what a filter was sent.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
}

func (n *notes) add(command byte, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(&n.text, "%c %q\n", command, data)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// serve plays the script and keeps what it was sent.
func (s script) serve(seen *notes) func(net.Conn) {
	return func(c net.Conn) {
		counts := map[byte]int{}
		for {
			var head [5]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			data := make([]byte, binary.BigEndian.Uint32(head[:])-1)
			if _, err := io.ReadFull(c, data); err != nil {
				return
			}
			command := head[4]
			counts[command]++
			if seen != nil {
				seen.add(command, data)
			}
			answer, ok := s[fmt.Sprintf("%c%d", command, counts[command])]
			if !ok {
				answer, ok = s[string(command)]
			}
			switch {
			case command == 'D':
				continue
			case command == 'Q':
				return
			case !ok && command == 'O':
				answer = agreed(6, 0, 0)
			case !ok:
				answer = packet('c', "")
			case answer == "close":
				return
			case answer == "hang":
				_, _ = io.Copy(io.Discard, c)
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

// What a filter says at any step is its word about the message.
func TestWords(t *testing.T) {
	code := packet('y', "554 5.7.1 not  here\x00")
	for name, tc := range map[string]struct {
		s    script
		kind milter.Kind
		want string // code, enhanced, text, step, refused, changes
	}{
		"goes on":             {script{}, milter.Accept, "0  end [] []"},
		"accepts at connect":  {script{"C": packet('a', "")}, milter.Accept, "0  connect [] []"},
		"rejects at connect":  {script{"C": packet('r', "")}, milter.Reject, "0  connect [] []"},
		"shuts at connect":    {script{"C": packet('4', "")}, milter.TempFail, "0  connect [] []"},
		"code at HELO":        {script{"H": code}, milter.Reject, "554 5.7.1 not  here helo [] []"},
		"tempfail at MAIL":    {script{"M": packet('t', "")}, milter.TempFail, "0  mail [] []"},
		"4xx at header":       {script{"L3": packet('y', "451 4.7.1 later\x00")}, milter.TempFail, "451 4.7.1 later header [] []"},
		"discard at body":     {script{"B": packet('d', "")}, milter.Discard, "0  body [] []"},
		"code without class":  {script{"E": packet('y', "550 no\x00")}, milter.Reject, "550  no end [] []"},
		"code, other class":   {script{"E": packet('y', "550 4.7.1 no\x00")}, milter.Reject, "550  4.7.1 no end [] []"},
		"lines":               {script{"E": packet('y', "550-5.7.1 one\r\n550 5.7.1 two\x00")}, milter.Reject, "550 5.7.1 one??550 5.7.1 two end [] []"},
		"one recipient":       {script{"R1": code}, milter.Quarantine, "554 5.7.1 not  here rcpt [b@example.com] []"},
		"one, then accepts":   {script{"R1": code, "L": packet('a', "")}, milter.Quarantine, "554 5.7.1 not  here rcpt [b@example.com] []"},
		"one, then rejects":   {script{"R1": code, "E": packet('r', "")}, milter.Reject, "0  end [b@example.com] []"},
		"all recipients":      {script{"R": code}, milter.Reject, "554 5.7.1 not  here rcpt [] []"},
		"all, for now":        {script{"R": packet('y', "450 4.2.0 busy\x00")}, milter.TempFail, "450 4.2.0 busy rcpt [] []"},
		"quarantine":          {script{"E": packet('q', "look at it\x00") + packet('c', "")}, milter.Quarantine, "0  look at it end [] []"},
		"quarantine, rejects": {script{"E": packet('q', "look\x00") + packet('r', "")}, milter.Reject, "0  end [] []"},
		"progress":            {script{"E": packet('p', "") + packet('p', "") + packet('a', "")}, milter.Accept, "0  end [] []"},
		"changes": {script{"E": packet('h', "X-Spam\x00Yes\x00") + packet('i', "\x00\x00\x00\x01X-Two\x00v\x00") + packet('m', "\x00\x00\x00\x01Subject\x00s\x00") +
			packet('b', "new") + packet('b', "body") + packet('+', "<d@example.com>\x00") + packet('-', "<b@example.com>\x00") + packet('e', "<x@example.org>\x00") + packet('c', "")}, milter.Accept,
			"0  end [] [add header X-Spam insert header X-Two change header Subject replace body add recipient <d@example.com> delete recipient <b@example.com> change sender <x@example.org>]"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := client(t, labtest.Server(t, tc.s.serve(nil))).Check(t.Context(), message("a body\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(strings.Fields(fmt.Sprint(r.Code, " ", r.Enhanced, " ", r.Text, " ", r.At, " ", r.Refused, " ", r.Changes)), " ")
			if want := strings.Join(strings.Fields(tc.want), " "); r.Kind != tc.kind || got != want {
				t.Errorf("%v %s\nwant %v %s", r.Kind, got, tc.kind, want)
			}
		})
	}
}

// What a filter is told, to the letter.
func TestTold(t *testing.T) {
	var seen notes
	m := message(strings.Repeat("x", 70_000))
	m.Helo = "evil\x00name"
	if _, err := client(t, labtest.Server(t, script{}.serve(&seen))).Check(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	text := seen.String()
	for _, want := range []string{
		`O "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"` + "\n",
		`D "Cj\x00mx.served.example\x00{daemon_name}\x00gatepost\x00v\x00gatepost\x00_\x00mail.example.org [192.0.2.9]\x00{client_addr}\x00192.0.2.9\x00{client_name}\x00mail.example.org\x00"` + "\n",
		`C "mail.example.org\x004\x12g192.0.2.9\x00"` + "\n",
		`H "evilname\x00"` + "\n",
		`M "<a@example.org>\x00SIZE=100\x00"` + "\n",
		`R "<c@example.com>\x00"` + "\n",
		`L "From\x00a@example.org\x00"` + "\n",
		`L "Subject\x00a\n test\x00"` + "\n",
		"N \"\"\n", "T \"\"\n", "E \"\"\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it was not told %s in\n%.3000s", want, text)
		}
	}
	if n := strings.Count(text, "\nB "); n != 2 {
		t.Errorf("the body came in %d pieces, want 2", n)
	}
}

// A filter that wants less is sent less, and one that answers less is not waited for.
func TestAgreed(t *testing.T) {
	const noBody, noHeader, silent, leading, skip = 0x10, 0x20, 0x80 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x40000 | 0x80000, 0x100000, 0x400
	for name, tc := range map[string]struct {
		version, steps uint32
		s              script
		not, has       string
	}{
		"no body":       {6, noBody, nil, "\nB ", "\nL "},
		"no header":     {6, noHeader, nil, "\nL ", "\nB "},
		"silent":        {6, silent, script{"C": "", "H": "", "M": "", "R": "", "T": "", "L": "", "N": "", "B": ""}, "nothing", "\nE "},
		"leading space": {6, leading, nil, `From\x00a@`, `From\x00 a@`},
		"version 2":     {2, 0, nil, "\nT ", "\nE "},
		"skip":          {6, skip, script{"B": packet('s', "")}, "\nB \"x\"", "\nE "},
	} {
		t.Run(name, func(t *testing.T) {
			s := script{"O": agreed(tc.version, 0, tc.steps)}
			for k, v := range tc.s {
				s[k] = v
			}
			var seen notes
			r, err := client(t, labtest.Server(t, s.serve(&seen))).Check(t.Context(), message(strings.Repeat("x", 65_536)))
			if err != nil || r.Kind != milter.Accept {
				t.Fatal(r, err)
			}
			if text := seen.String(); strings.Contains(text, tc.not) || !strings.Contains(text, tc.has) {
				t.Errorf("has %q or not %q:\n%.2000s", tc.not, tc.has, text)
			}
		})
	}
}

// What is broken, slow, huge or hostile is never a word.
func TestFaults(t *testing.T) {
	huge := "\x7f\xff\xff\xffr"
	for name, s := range map[string]script{
		"closes at once":     {"O": "close"},
		"closes at the end":  {"E": "close"},
		"half a packet":      {"E": "\x00\x00\x00\x08y554"},
		"silent":             {"E": "hang"},
		"huge":               {"C": huge},
		"empty packet":       {"C": "\x00\x00\x00\x00"},
		"garbage":            {"O": "220 mx.example.org ESMTP\r\n"},
		"no offer":           {"O": packet('c', "")},
		"short offer":        {"O": packet('O', "\x00\x00\x00\x06")},
		"version 7":          {"O": agreed(7, 0, 0)},
		"version 1":          {"O": agreed(1, 0, 0)},
		"unknown action":     {"O": agreed(6, 0x1000, 0)},
		"unknown step":       {"O": agreed(6, 0, 1<<30)},
		"unknown reply":      {"L": packet('z', "")},
		"changes too early":  {"L": packet('h', "X\x00y\x00")},
		"skip unasked":       {"B": packet('s', "")},
		"code 250":           {"E": packet('y', "250 2.0.0 fine\x00")},
		"code as words":      {"E": packet('y', "no\x00")},
		"code without end":   {"E": packet('y', "554 5.7.1 no")},
		"reject with data":   {"E": packet('r', "x")},
		"accept with data":   {"E": packet('a', "x")},
		"header without end": {"E": packet('h', "X") + packet('c', "")},
		"no place":           {"E": packet('i', "\x00") + packet('c', "")},
		"endless progress":   {"E": strings.Repeat(packet('p', ""), 10_001)},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := milter.New(milter.Config{Address: labtest.Server(t, s.serve(nil)), Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Check(t.Context(), message("a body\r\n"))
			if err == nil || r.Kind != milter.NoWord {
				t.Fatalf("%+v, %v", r, err)
			}
			if !milter.Blames(err) || milter.Repeatable(err) {
				t.Errorf("blames %v, repeatable %v: %v", milter.Blames(err), milter.Repeatable(err), err)
			}
		})
	}
}

// Whose fault it is.
func TestBlame(t *testing.T) {
	c := client(t, labtest.Server(t, script{}.serve(nil)))
	m := message("short")
	m.Size = 100
	if _, err := c.Check(t.Context(), m); !errors.Is(err, milter.ErrSource) || milter.Blames(err) {
		t.Errorf("a short body: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(ctx, message("x")); !errors.Is(err, context.Canceled) || milter.Blames(err) {
		t.Errorf("a caller that went away: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := client(t, l.Addr().String()).Check(t.Context(), message("x")); !milter.Repeatable(err) || !milter.Blames(err) {
		t.Errorf("nobody there: %v", err)
	}
}

// The real rspamd as a milter: its words, and what it would change.
func TestReal(t *testing.T) {
	r := labtest.Rspamd(t, lab.RspamdOptions{Words: []lab.RspamdWord{{Symbol: "LAB_SPAM", Text: "gatepost alpha", Points: 7.5}}})
	c := client(t, r.Milter)
	if said, err := c.Probe(t.Context()); err != nil || said != "milter protocol 6" {
		t.Fatalf("probe: %q, %v", said, err)
	}
	got, err := c.Check(t.Context(), message("How are you?\r\n"))
	if err != nil || got.Kind != milter.Accept || got.At != "end" {
		t.Errorf("clean: %+v, %v", got, err)
	}
	got, err = c.Check(t.Context(), message("gatepost alpha\r\n"))
	if err != nil || got.Kind != milter.Accept || !slices.ContainsFunc(got.Changes, func(s string) bool { return strings.HasSuffix(s, " header X-Spam") }) {
		t.Errorf("spam: %+v, %v", got, err)
	}
	got, err = c.Check(t.Context(), message(lab.GTUBE()+"\r\n"))
	if err != nil || got.Kind != milter.Reject || got.Code != 554 || got.Enhanced != "5.7.1" || got.Text == "" {
		t.Errorf("GTUBE: %+v, %v", got, err)
	}
}
