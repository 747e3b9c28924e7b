package clamd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"gatepost/internal/addrpool"
)

func TestParseAddress(t *testing.T) {
	for address, want := range map[string][2]string{
		"unix:/run/clamd.sock":   {"unix", "/run/clamd.sock"},
		"/run/clamd.sock":        {"unix", "/run/clamd.sock"},
		"tcp:127.0.0.1:3310":     {"tcp", "127.0.0.1:3310"},
		"scanner.example.org:1":  {"tcp", "scanner.example.org:1"},
		"[::1]:65535":            {"tcp", "[::1]:65535"},
		"tcp:[fe80::1%eth0]:331": {"tcp", "[fe80::1%eth0]:331"},
	} {
		network, target, err := addrpool.ParseAddress(address)
		if err != nil || network != want[0] || target != want[1] {
			t.Errorf("%q: got %s %s %v, want %v", address, network, target, err, want)
		}
	}
	for _, address := range []string{
		"", "unix:", "unix:run/clamd.sock", "run/clamd.sock", "host", "host:", ":3310", "tcp:", "tcp::1", "tcp:/run/x",
		"host:0", "host:65536", "host:clamd", "host:-1", "host:1:2", "tcp://host:1", "a b:1", "unix:/a\x00b",
	} {
		if c, err := New(Config{Address: address}); err == nil {
			t.Errorf("%q was taken as %s %s", address, c.network, c.target)
		}
	}
	if _, err := New(Config{Address: "/x", Timeout: -1}); err == nil {
		t.Error("a negative time was taken")
	}
}

func TestParseScan(t *testing.T) {
	hash := "44d88612fea8a8f36de82e1278abb02f"
	for line, want := range map[string]Finding{
		"stream: OK":            {Kind: Clean},
		"stream: OK FOUND":      {Kind: Infected, Signature: "OK", Official: true},
		"stream: A FOUND":       {Kind: Infected, Signature: "A", Official: true},
		"stream: A ERROR FOUND": {Kind: Infected, Signature: "A ERROR", Official: true},
		"stream: Eicar.UNOFFICIAL(" + hash + ":68) FOUND":                      {Kind: Infected, Signature: "Eicar.UNOFFICIAL"},
		"stream: Eicar(" + hash + ":68) FOUND":                                 {Kind: Infected, Signature: "Eicar", Official: true},
		"stream: Eicar(x:68) FOUND":                                            {Kind: Infected, Signature: "Eicar(x:68)", Official: true},
		"stream: Eicar(" + hash + ":) FOUND":                                   {Kind: Infected, Signature: "Eicar(" + hash + ":)", Official: true},
		"stream: Eicar(" + hash + ") FOUND":                                    {Kind: Infected, Signature: "Eicar(" + hash + ")", Official: true},
		"stream: PUA.Win.Tool FOUND":                                           {Kind: Infected, Signature: "PUA.Win.Tool", Official: true, PUA: true},
		"stream: PUAX FOUND":                                                   {Kind: Infected, Signature: "PUAX", Official: true},
		"stream: Heuristics.Phishing.Email FOUND":                              {Kind: Infected, Signature: "Heuristics.Phishing.Email", Official: true, Heuristic: true},
		"stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND":                 {Kind: Exceeded, Signature: "Heuristics.Limits.Exceeded.MaxScanSize", Heuristic: true},
		"stream: Heuristics.Limits.Exceeded FOUND":                             {Kind: Exceeded, Signature: "Heuristics.Limits.Exceeded", Heuristic: true},
		"stream: Heuristics.Limits.ExceededX.UNOFFICIAL FOUND":                 {Kind: Exceeded, Signature: "Heuristics.Limits.ExceededX.UNOFFICIAL", Heuristic: true},
		"stream: {HEX}php.gzbase64.inject.452.UNOFFICIAL FOUND":                {Kind: Infected, Signature: "{HEX}php.gzbase64.inject.452.UNOFFICIAL"},
		"stream: X.Limits.Exceeded.MaxScanSize FOUND":                          {Kind: Infected, Signature: "X.Limits.Exceeded.MaxScanSize", Official: true},
		"stream: Heuristics.Limits.Exceeded.MaxFileSize(" + hash + ":9) FOUND": {Kind: Exceeded, Signature: "Heuristics.Limits.Exceeded.MaxFileSize", Heuristic: true},
	} {
		got, err := parseScan(line)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", line, got, err, want)
		}
	}
	for line, want := range map[string]error{
		"":                                     ErrReply,
		"stream: ":                             ErrReply,
		"stream: OK ":                          ErrReply,
		"stream:OK":                            ErrReply,
		"stream: A found":                      ErrReply,
		"stream:  A FOUND":                     ErrReply,
		"stream: A  FOUND":                     ErrReply,
		"stream: \u00e4 FOUND":                 ErrReply,
		"stream: a\nb FOUND":                   ErrReply,
		"stream: (" + hash + ":68) FOUND":      ErrReply,
		"stream: /tmp/x: OK":                   ErrReply,
		"/tmp/x: A FOUND":                      ErrReply,
		"FOUND":                                ErrReply,
		"INSTREAM size limit exceeded. ERROR":  ErrTooBig,
		"INSTREAM size limit exceeded. ERROR ": ErrReply,
		"INSTREAM: Size limit reached. ERROR":  ErrRefused,
		"stream: Time limit reached ERROR":     ErrRefused,
		"UNKNOWN COMMAND":                      ErrReply,
	} {
		got, err := parseScan(line)
		if !errors.Is(err, want) || got != (Finding{}) {
			t.Errorf("%q: got %+v, %v; want %v", line, got, err, want)
		}
	}
}

func TestParseVersion(t *testing.T) {
	date := time.Date(2026, 11, 22, 10, 20, 30, 0, time.UTC)
	for line, want := range map[string]Version{
		"ClamAV 1.4.6": {Engine: "1.4.6"},
		"ClamAV 1.4.3/27500/Sun Nov 22 10:20:30 2026":    {Engine: "1.4.3", Database: 27500, Date: date},
		"ClamAV 1.5.0-rc/27500/Sun Nov  1 10:20:30 2026": {Engine: "1.5.0-rc", Database: 27500, Date: date.AddDate(0, 0, -21)},
		"ClamAV 1.4.3/27500/2026-11-22":                  {Engine: "1.4.3", Database: 27500},
		"ClamAV 1.4.3/27500":                             {Engine: "1.4.3", Database: 27500},
	} {
		want.Text = line
		if got, err := parseVersion(line); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"", "ClamAV", "ClamAV ", "clamav 1", "PONG", "ClamAV 1/x", "ClamAV 1/-1", "ClamAV 1/99999999999",
		"ClamAV 1\n2", "ClamAV " + strings.Repeat("1", 65), "ClamAV 1/\xff"} {
		if got, err := parseVersion(line); !errors.Is(err, ErrReply) {
			t.Errorf("%q: got %+v, %v", line, got, err)
		}
	}
}

func TestCommandFaults(t *testing.T) {
	for _, text := range []string{"", "\x00", "PONG", "PONG\n", "pong\x00", "PONG\x00PONG\x00", "PON\x00", "stream: OK\x00", strings.Repeat("P", 5000)} {
		c := client(t, fake(t, "unix", func(c conn) { c.command(); c.say(text) }))
		if err := c.Ping(t.Context()); !errors.Is(err, ErrReply) {
			t.Errorf("ping answered %.20q: %v", text, err)
		}
		if _, err := c.Version(t.Context()); !errors.Is(err, ErrReply) {
			t.Errorf("version answered %.20q: %v", text, err)
		}
		if _, err := c.Probe(t.Context()); !errors.Is(err, ErrReply) {
			t.Errorf("probe answered %.20q: %v", text, err)
		}
	}
}

// A clamd that finds nothing must not be believed.
func TestBlind(t *testing.T) {
	c := client(t, fake(t, "unix", func(c conn) {
		switch c.command() {
		case "zPING":
			c.say("PONG\x00")
		case "zVERSION":
			c.say("ClamAV 1.4.6\x00")
		default:
			for c.chunk() > 0 {
			}
			c.say("stream: OK\x00")
		}
	}))
	if _, err := c.Probe(t.Context()); !errors.Is(err, ErrBlind) || !Distrusts(err) {
		t.Errorf("probe: %v", err)
	}
	if n, err := c.ProbeLimit(t.Context(), 1<<20); !errors.Is(err, ErrBlind) || n != 0 {
		t.Errorf("limit: %d, %v", n, err)
	}
}

func TestStatsFaults(t *testing.T) {
	good := "POOLS: 1\n\nSTATE: VALID PRIMARY\nTHREADS: live 1\nQUEUE: 0 items\n\tSTATS 0.1 \n\nMEMSTATS: heap N/A\nEND\n"
	for name, text := range map[string]string{
		"nothing":          "",
		"cut off":          good[:len(good)-1],
		"no end":           strings.TrimSuffix(good, "END\n"),
		"panics go-clamd":  strings.Replace(good, "THREADS", "POOLS\nTHREADS", 1),
		"control octets":   strings.Replace(good, "PRIMARY", "\x1b[2J", 1),
		"too long":         "POOLS: 1\n" + strings.Repeat("x", maxStats) + good,
		"another reply":    "UNKNOWN COMMAND\n",
		"no state":         "POOLS: 1\n\nEND\n",
		"something behind": good + "x",
	} {
		c := client(t, fake(t, "tcp", func(c conn) { c.command(); c.say(text) }))
		if got, err := c.Stats(t.Context()); err == nil || got != (Stats{}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	c := client(t, fake(t, "tcp", func(c conn) { c.command(); c.say(good) }))
	want := Stats{Pools: "1", State: "STATE: VALID PRIMARY", Threads: "THREADS: live 1", Queue: "QUEUE: 0 items", Memstats: "MEMSTATS: heap N/A"}
	if got, err := c.Stats(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestKindNames(t *testing.T) {
	for k, want := range map[Kind]string{NoVerdict: "no verdict", Clean: "clean", Infected: "infected", Exceeded: "exceeded", 9: "no verdict"} {
		if k.String() != want {
			t.Errorf("%d is %q, want %q", k, k, want)
		}
	}
}

// FuzzReply checks that only the one reply is clean, however it arrives.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"stream: OK\x00", "stream: OK\x00\x00", "stream: OK", "", "\x00", "stream: A:B.UNOFFICIAL FOUND\x00", limitReply + "\x00",
		"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\x00", "stream: X(44d88612fea8a8f36de82e1278abb02f:68) FOUND\x00",
		"stream: OK\x00stream: A FOUND\x00", "INSTREAM: read timed out. ERROR\x00", strings.Repeat("x", 2*maxReply),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, r := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data)), iotest.DataErrReader(bytes.NewReader(data))} {
			line, err := readReply(r, make([]byte, maxReply+1), 0, func() {})
			var got Finding
			if err == nil {
				got, err = parseScan(string(line))
			}
			switch {
			case err != nil:
				if got != (Finding{}) {
					t.Fatalf("%q: a finding %+v with the error %v", data, got, err)
				}
				if string(data) == "stream: OK\x00" {
					t.Fatal(err)
				}
			case got.Kind == Clean:
				if string(data) != "stream: OK\x00" {
					t.Fatalf("%q is clean", data)
				}
			case got.Kind == NoVerdict || got.Signature == "" || !bytes.Contains(data, []byte(got.Signature)) || !bytes.HasSuffix(data, []byte(" FOUND\x00")):
				t.Fatalf("%q: got %+v", data, got)
			}
		}
	})
}

// FuzzCommandReplies checks that no reply makes the other parsers fail badly.
func FuzzCommandReplies(f *testing.F) {
	f.Add("ClamAV 1.4.3/27500/Sun Nov 22 10:20:30 2026")
	f.Add("ClamAV 1.4.6")
	f.Add("POOLS: 1\n\nSTATE: VALID PRIMARY\nEND\n")
	f.Add("POOLS\nEND\n")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := parseVersion(text); err == nil && (v.Engine == "" || v.Text != text || v.Database < 0) {
			t.Fatalf("%q: %+v", text, v)
		}
		if checkStats([]byte(text)) == nil && !strings.HasPrefix(text, "POOLS: ") {
			t.Fatalf("%q passed for statistics", text)
		}
	})
}
