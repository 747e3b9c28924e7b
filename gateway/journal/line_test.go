package journal

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gatepost/gateway"
)

func TestLine(t *testing.T) {
	golden(t, "line-mail.json", newLine(mailEvent()).JSON)
	golden(t, "line-virus.json", newLine(virusEvent()).JSON)
	golden(t, "line-connection.json", newLine(refusedEvent()).JSON)
	for name, attrs := range map[string][]slog.Attr{"line-daemon.json": {slog.String("version", "1.0"), slog.Int("listeners", 2),
		slog.Duration("took", time.Second), slog.Bool("ok", true), slog.Any("error", nil), slog.Group("policy", slog.String("version", "4f"), slog.Float64("n", 0.5)),
		slog.String("kind", "not the verb"), slog.Time("at", began), slog.Uint64("u", 7)}} {
		golden(t, name, daemonLine(began, Start, severityNotice, attrs).JSON)
	}
}

// checkLine fails unless a line is one JSON object on one line without anything that a terminal or a parser could obey.
func checkLine(t *testing.T, line []byte) map[string]any {
	t.Helper()
	if len(line) > maxLine {
		t.Errorf("%d octets", len(line))
	}
	body, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok || !utf8.Valid(line) {
		t.Errorf("no line end, or no UTF-8: %q", line)
	}
	for _, r := range string(body) {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' || r == '\u2028' {
			t.Errorf("octet %U in %q", r, line)
		}
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Errorf("%v: %s", err, line)
	}
	return m
}

// hostile fills every text that a stranger can choose.
func hostile(e *gateway.Event, s string) *gateway.Event {
	r := e.Record
	r.Helo, r.HeaderFrom, e.Subject, e.MessageID, e.Session.Reverse = s, s, s, s, s
	r.From.Text, r.Rcpts[0].To.Text = s, s
	e.Relayed = &gateway.Relayed{NextHop: s, Said: s}
	e.Reply.Text, e.Session.Refused = s, []string{s, s}
	e.Verdict.Line, e.Verdict.Waived, e.Verdict.Args = s, s, []string{s}
	r.Findings[0].Args = []string{s}
	r.Findings[3].Measures = []gateway.Measure{{Name: s, Value: math.NaN(), Text: s}, {Name: "inf", Value: math.Inf(1)}, {Name: "small", Value: 1e-300}}
	e.Evidence[0] = []gateway.Evidence{{Name: s, Text: s}}
	e.Removed, e.ScannedBy = []string{s}, []string{s}
	return e
}

func TestLineOfStrangers(t *testing.T) {
	m := checkLine(t, newLine(hostile(mailEvent(), stubborn())).JSON)
	if s, _ := m["subject"].(string); !strings.HasPrefix(s, "\x00\x01") || !strings.Contains(s, "\U000e0041\U0001f4e7") {
		t.Errorf("what was printable or escaped did not come back: %q", s)
	}
	e := hostile(mailEvent(), strings.Repeat("\x01", 100000))
	for range 1000 {
		e.Record.Rcpts = append(e.Record.Rcpts, gateway.RecordRcpt{To: addr("x@y")})
		e.Record.Findings = append(e.Record.Findings, e.Record.Findings[3])
	}
	m = checkLine(t, newLine(e).JSON)
	if m["cut"] != true || m["rcpts_more"] != 997.0 {
		t.Errorf("%v", m)
	}
	c := refusedEvent()
	c.Session.Refused = []string{stubborn(), strings.Repeat("\x80", 5000)}
	checkLine(t, newLine(c).JSON)
}

// What was done to a message on its way out is told in bounds, and left out of a line that is too long without it.
func TestLineEdits(t *testing.T) {
	e := mailEvent()
	e.Edits = slices.Repeat([]string{"part 2 taken out: a.exe", stubborn()}, 15)
	m := checkLine(t, newLine(e).JSON)
	edits, _ := m["edits"].([]any)
	if len(edits) != 20 || edits[0] != "part 2 taken out: a.exe" || m["edits_more"] != 10.0 || m["cut"] != nil {
		t.Fatalf("%d, %v more, cut %v: %v", len(edits), m["edits_more"], m["cut"], edits)
	}
	if s, _ := edits[1].(string); len(s) == 0 || len(s) > maxEdit {
		t.Errorf("%d octets: %q", len(s), s)
	}
	for range 1000 {
		e.Record.Findings = append(e.Record.Findings, gateway.Finding{Check: strings.Repeat("x", 300), Result: gateway.Fail})
	}
	if m = checkLine(t, newLine(e).JSON); m["cut"] != true || m["edits"] != nil {
		t.Errorf("cut %v, and edits are %v", m["cut"], m["edits"])
	}
	e.Record.Findings, e.Edits = nil, nil
	if m = checkLine(t, newLine(e).JSON); m["edits"] != nil || m["edits_more"] != nil {
		t.Errorf("nothing was done, and %v is told", m["edits"])
	}
}

func FuzzLine(f *testing.F) {
	f.Add("plain", 1.5, int64(1))
	f.Add(stubborn(), math.Inf(-1), int64(-1))
	f.Add(strings.Repeat("\xff", 3000), math.SmallestNonzeroFloat64, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, s string, v float64, n int64) {
		e := hostile(mailEvent(), s)
		e.Verdict.Score, e.Record.Size, e.Took = v, n, time.Duration(n)
		checkLine(t, newLine(e).JSON)
		checkLine(t, daemonLine(began, Note, severityInfo, []slog.Attr{slog.String(s, s), slog.Float64("v", v)}).JSON)
		sys := &Syslog{o: SyslogOptions{Enterprise: "1", Facility: 2}, header: "h a 1 "}
		l := newLine(e)
		l.Reason = s
		msg := sys.message(l)
		if len(msg) > maxDatagram {
			t.Errorf("%d octets", len(msg))
		}
		for _, c := range msg {
			if c < ' ' || c == 0x7f {
				t.Fatalf("octet %q in %q", c, msg)
			}
		}
		text := Render(e, RenderOptions{})
		for _, r := range text {
			if r != '\n' && (r < ' ' || r == 0x7f || r == '\u202e') {
				t.Fatalf("%U in %q", r, text)
			}
		}
	})
}

func TestAppendText(t *testing.T) {
	for in, want := range map[string]string{
		"":           `""`,
		"a\"b\\":     `"a\"b\\"`,
		"\x00\n\t\r": `"\u0000\n\t\u000d"`,
		"ä€漢":        `"ä€漢"`,
		"\xffa\xc3":  `"\ufffda\ufffd"`,
		"\ufffd":     `"` + "\ufffd" + `"`,
		"\u202eabc":  `"\u202eabc"`,
		"\U000e0041": `"\udb40\udc41"`,
		"\U0001f4e7": "\"\U0001f4e7\"",
	} {
		if got := string(appendText(nil, in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestAppendMoment and TestAppendFloat compare with what the library writes.
func TestAppendMoment(t *testing.T) {
	for _, at := range []time.Time{{}, began, time.Unix(0, 0), time.Unix(1<<33, 999999999), time.Date(2028, 2, 29, 23, 59, 59, 1e6, time.FixedZone("x", 5400)),
		time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(7, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got, want := string(appendMoment(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000Z07:00"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAppendFloat(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		v := rng.NormFloat64() * math.Pow(10, float64(rng.IntN(17)-3))
		if math.Abs(v) < 1e15 {
			if got, want := string(appendFloat(nil, v)), strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64); got != want && want != "-0" {
				t.Errorf("%g: %s, want %s", v, got, want)
			}
		}
	}
	for in, want := range map[float64]string{0: "0", 1.23456: "1.235", -0.5: "-0.5", 1e20: "1e+20", 1e-9: "1e-09", math.Inf(1): "null", 7: "7"} {
		if got := string(appendFloat(nil, in)); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
}

func TestVerbsAreClosed(t *testing.T) {
	seen := map[Verb]bool{}
	for _, v := range Verbs() {
		if seen[v] || v.known() != v {
			t.Errorf("%s", v)
		}
		seen[v] = true
	}
	if Verb("whatever").known() != Note {
		t.Error("an unknown verb is told")
	}
}

func TestHandler(t *testing.T) {
	var m memory
	j := New(Options{Sinks: []Sink{&m}})
	defer closeJournal(t, j)
	log := slog.New(j.Handler(slog.LevelWarn)).With("part", "x").WithGroup("g").With("a", 1)
	log.Info("not told")
	log.Error("told\n", "b", netip.MustParseAddr("192.0.2.1"), "panics", panics{})
	line := checkLine(t, []byte(m.text()))
	if line["kind"] != "note" || line["level"] != "ERROR" || line["message"] != "told\n" || line["part"] != "x" || line["g.a"] != 1.0 || line["g.b"] != "192.0.2.1" {
		t.Errorf("%v", line)
	}
	if m.lines[0].severity != severityError {
		t.Errorf("severity %d", m.lines[0].severity)
	}
	if !slog.New(j.Handler(nil)).Enabled(t.Context(), slog.LevelInfo) || slog.New(j.Handler(nil)).Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the default level is not info")
	}
}

type panics struct{}

func (panics) String() string { panic("no") }
