package spamd

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"gatepost/internal/addrpool"
)

const dashes = " ---- ---------------------- --------------------------------------------------\n"

func TestParseTable(t *testing.T) {
	many, names := dashes, []Rule{}
	for i := range maxRules + 1 {
		many += fmt.Sprintf(" 0.1 RULE_%d                 x\n", i)
		names = append(names, Rule{fmt.Sprintf("RULE_%d", i), 0.1, true})
	}
	for name, tc := range map[string]struct {
		report string
		rules  []Rule
		whole  bool
	}{
		"nothing":           {"", nil, false},
		"no table":          {"Content preview: hello\n\n 1.0 A_RULE x\n", nil, false},
		"no rules":          {dashes + "\n", nil, true},
		"one":               {dashes + " 1.5 A_RULE                 what it means\n\n", []Rule{{"A_RULE", 1.5, true}}, true},
		"no end":            {dashes + " 1.5 A_RULE", []Rule{{"A_RULE", 1.5, true}}, true},
		"CRLF":              {strings.ReplaceAll(dashes+" 1.5 A_RULE x\n\n", "\n", "\r\n"), []Rule{{"A_RULE", 1.5, true}}, true},
		"wrapped":           {dashes + " 1.5 A_RULE x\n                            5.0 FAKE x\n[5.0 FAKE]\n-0.0 B_RULE\n", []Rule{{"A_RULE", 1.5, true}, {"B_RULE", 0, true}}, true},
		"large":             {dashes + "  13 A_RULE x\n-1000 B_RULE x\n 100 C_RULE x\n", []Rule{{"A_RULE", 13, true}, {"B_RULE", -1000, true}, {"C_RULE", 100, true}}, true},
		"after its end":     {dashes + " 1.5 A_RULE x\n\n 5.0 FAKE x\n", []Rule{{"A_RULE", 1.5, true}}, true},
		"table in preview":  {dashes + " 5.0 FAKE x\n\n" + dashes + " 1.5 A_RULE x\n", []Rule{{"A_RULE", 1.5, true}}, true},
		"twice the same":    {dashes + " 1.5 A_RULE x\n 2.0 A_RULE x\n", []Rule{{"A_RULE", 1.5, true}}, false},
		"no score":          {dashes + " n/a A_RULE x\n 1.0 B_RULE x\n", []Rule{{"A_RULE", 0, false}, {"B_RULE", 1, true}}, false},
		"free text":         {dashes + "hello world\n 1.0 B_RULE x\n", []Rule{{"B_RULE", 1, true}}, false},
		"name with a digit": {dashes + " 1.0 2RULE x\n", nil, false},
		"name with a dot":   {dashes + " 1.0 A.RULE x\n", nil, false},
		"endless name":      {dashes + " 1.0 " + strings.Repeat("A", maxName+1) + " x\n", nil, false},
		"longest name":      {dashes + " 1.0 " + strings.Repeat("A", maxName) + " x\n", []Rule{{strings.Repeat("A", maxName), 1, true}}, true},
		"too many":          {many, names[:maxRules], false},
		"no dashes":         {"---- ----\n 1.0 A_RULE x\n", nil, false},
	} {
		rules, whole := parseTable([]byte(tc.report))
		if !slices.Equal(rules, tc.rules) || whole != tc.whole {
			t.Errorf("%s: got %v %v, want %v %v", name, rules, whole, tc.rules, tc.whole)
		}
	}
}

func TestComplete(t *testing.T) {
	for name, tc := range map[string]struct {
		score float64
		rules string
		want  bool
	}{
		"adds up":          {6.3, " 5.0 A_A x\n 1.3 B_B x\n", true},
		"rounded":          {6.4, " 5.0 A_A x\n 1.3 B_B x\n", true},
		"lowered to floor": {4.9, " 5.0 A_A x\n", true},
		"rounded to 1":     {13.8, "  13 A_A x\n 1.2 B_B x\n", true},
		"one is missing":   {6.3, " 5.0 A_A x\n", false},
		"one too many":     {6.3, " 5.0 A_A x\n 1.3 B_B x\n 0.5 C_C x\n", false},
		"nothing":          {0, "", true},
	} {
		a := answer{score: tc.score, threshold: 5, body: []byte(dashes + tc.rules + "\n")}
		if r := a.report(); r.Complete != tc.want || r.Score != tc.score {
			t.Errorf("%s: got %+v, want complete %v", name, r, tc.want)
		}
	}
	if r := (answer{score: 1, threshold: 5}).report(); r.Complete || r.Rules != nil {
		t.Errorf("without a report: %+v", r)
	}
}

// A report that is too long to be looked at leaves the score standing.
func TestLongReport(t *testing.T) {
	body := table + strings.Repeat("x", maxBody)
	c := client(t, fake(t, "tcp", after(reply("0 EX_OK", "True ; 6.3 / 5.0", body))))
	r, err := c.Check(t.Context(), request("hello\r\n"))
	if err != nil || r.Score != 6.3 || r.Rules != nil || r.Complete {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestParseAddress(t *testing.T) {
	for address, want := range map[string][2]string{
		"unix:/run/spamd.sock": {"unix", "/run/spamd.sock"},
		"/run/spamd.sock":      {"unix", "/run/spamd.sock"},
		"tcp:127.0.0.1:783":    {"tcp", "127.0.0.1:783"},
		"[::1]:783":            {"tcp", "[::1]:783"},
	} {
		network, target, err := addrpool.ParseAddress(address)
		if err != nil || network != want[0] || target != want[1] {
			t.Errorf("%q: got %s %s %v, want %v", address, network, target, err, want)
		}
	}
	for _, address := range []string{"", "unix:", "unix:x", "host", "host:0", ":783", "host:65536", "host:spamd", "tcp://host:1", "unix:/a\x00b"} {
		if c, err := New(Config{Address: address}); err == nil {
			t.Errorf("%q was taken as %s %s", address, c.network, c.target)
		}
	}
	if _, err := New(Config{Address: "/x", MaxSize: -1}); err == nil {
		t.Error("a negative size was taken")
	}
}

func TestCheckerVersion(t *testing.T) {
	for header, want := range map[string]string{
		"X-Spam-Checker-Version: SpamAssassin 4.0.1 (2024-03-25) on vm\n": "4.0.1 (2024-03-25)",
		"A: b\r\nx-spam-checker-version: SpamAssassin 3.4.6\r\n":          "3.4.6",
		"X-Spam-Checker-Version: Rspamd 3\n":                              "",
		"X-Spam-Checker-Version: SpamAssassin \x1b[2J on x\n":             "?[2J",
		"X-Spam-Checker-Version\n":                                        "",
		"":                                                                "",
	} {
		if got := checkerVersion([]byte(header)); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

// FuzzReply checks that a result is always one that spamd could mean.
func FuzzReply(f *testing.F) {
	f.Add([]byte(good()))
	f.Add([]byte(reply("0 EX_OK", "False ; -1003.5 / 5.0", dashes+"-1000 A_A x\n-3.5 B_B x\n\n")))
	f.Add([]byte(reply("0 EX_OK", "False ; nan / 5.0", "")))
	f.Add([]byte("SPAMD/1.0 76 Bad header line: x\r\n"))
	f.Add([]byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 99999999\r\nSpam: True ; 6.3 / 5.0\r\n\r\n"))
	f.Add([]byte("SPAMD/1.5 0 PONG\r\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readAnswer(bytes.NewReader(data))
		b, err2 := readAnswer(iotest.OneByteReader(bytes.NewReader(data)))
		if (err == nil) != (err2 == nil) || a.score != b.score || a.spam != b.spam {
			t.Fatalf("%q: depends on how it arrives: %v, %v", data, err, err2)
		}
		if err != nil {
			if a.spam || a.score != 0 || a.threshold != 0 || a.body != nil {
				t.Fatalf("%q: a result %+v with the error %v", data, a, err)
			}
			return
		}
		if !bytes.HasPrefix(data, []byte("SPAMD/1.")) || !bytes.Contains(data, []byte(" 0 EX_OK\r\n")) || !bytes.HasSuffix(data, a.body) ||
			len(a.body) > maxBody || a.spam != (a.score >= a.threshold) || a.score > maxNumber || a.score < -maxNumber {
			t.Fatalf("%q: got %+v", data, a)
		}
		checkReport(t, data, a.report())
	})
}

// FuzzReport is the same for the table alone.
func FuzzReport(f *testing.F) {
	f.Add([]byte(table))
	f.Add([]byte(forged + table))
	f.Add([]byte(dashes + " n/a A_B\n[x]\n1.5 C\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkReport(t, data, answer{body: data}.report())
	})
}

func checkReport(t *testing.T, data []byte, r Report) {
	t.Helper()
	if len(r.Rules) > maxRules {
		t.Fatalf("%d rules", len(r.Rules))
	}
	for _, rule := range r.Rules {
		if !isName(rule.Name) || len(rule.Name) > maxName || !bytes.Contains(data, []byte(rule.Name)) ||
			rule.Score > maxNumber || rule.Score < -maxNumber || r.Complete && !rule.Scored {
			t.Fatalf("%q: %+v", data, r)
		}
	}
}
