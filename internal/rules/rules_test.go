package rules

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

var update = flag.Bool("update", false, "write the tables of docs/conditions.md")

func compiler(t testing.TB, score bool) *Compiler {
	t.Helper()
	c, err := NewCompiler(Known{Checks: []string{"spf", "dmarc", "clamav", "spamassassin", "attachments.type", "rcpt"}, Score: score})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func record() *gateway.Record {
	return &gateway.Record{
		Time: time.Date(2026, 11, 27, 3, 30, 0, 0, time.UTC), Stage: gateway.Data, Listener: "smtp", Client: netip.MustParseAddr("::ffff:192.0.2.7"),
		TLS: "TLSv1.3", Helo: "MX.Sender.Example", From: gateway.Address{Local: "Bounce+7", Domain: "sender.example"}, Size: 4096,
		HeaderFrom: `=?utf-8?q?Anna_K=C3=B6nig?= <Anna@Partner.example>`,
		Rcpts: []gateway.RecordRcpt{{To: gateway.Address{Local: "Ann", Domain: "one.example"}, Code: 250},
			{To: gateway.Address{Local: "bob", Domain: "two.example"}, Code: 550}, {To: gateway.Address{Local: "eve", Domain: "one.example"}, Code: 250}},
		Findings: []gateway.Finding{
			{Check: "spf", Stage: gateway.Mail, Rcpt: -1, Result: gateway.Fail, Reason: gateway.SPFFail},
			{Check: "dmarc", Stage: gateway.Data, Rcpt: -1, Result: gateway.Pass, Proves: "Anna@partner.example"},
			{Check: "clamav", Stage: gateway.Data, Rcpt: -1, Result: gateway.Unknown},
			{Check: "spamassassin", Stage: gateway.Data, Rcpt: -1, Result: gateway.Pass, Measures: []gateway.Measure{{Name: "score", Value: 3.5}, {Name: "rule", Value: 1, Text: "HTML_ONLY"}}},
			{Check: "rcpt", Stage: gateway.Rcpt, Rcpt: 0, Result: gateway.Pass},
			{Check: "rcpt", Stage: gateway.Rcpt, Rcpt: 1, Result: gateway.Fail, Reason: gateway.RcptUnknown},
		},
	}
}

// TestHolds: each fact and function says what the Record says, for the recipient at hand.
func TestHolds(t *testing.T) {
	for text, want := range map[string]bool{
		`client == "192.0.2.7"`:                                  true,
		`cidr("192.0.2.0/24").containsIP(client)`:                true,
		`cidr("192.0.3.0/24").containsIP(client)`:                false,
		`trusted || relay`:                                       false,
		`listener == "smtp" && tls == "TLSv1.3"`:                 true,
		`certificate == ""`:                                      true,
		`helo == "mx.sender.example"`:                            true,
		`sender == "bounce+7@sender.example"`:                    true,
		`sender_domain.endsWith(".example")`:                     true,
		`recipient == "ann@one.example"`:                         true,
		`recipient_domain == "two.example"`:                      false,
		`recipients == 2`:                                        true,
		`size > 4095 && size <= 4096.0`:                          true,
		`author == "anna@partner.example"`:                       true,
		`author_domain == "partner.example"`:                     true,
		`author_name == "Anna König"`:                            true,
		`author_name.lowerAscii().contains("anna")`:              true,
		`time.getHours() < 6 && time.getDayOfWeek() == 5`:        true,
		`time.getHours("Europe/Berlin") == 4`:                    true,
		`score >= 4.5`:                                           true,
		`score >= 4.6`:                                           false,
		`checks.failed("spf") && !checks.passed("spf")`:          true,
		`checks.has_reason("spf", "spf.fail")`:                   true,
		`checks.has_reason("dmarc", "spf.fail")`:                 false,
		`checks.unknown("clamav") && checks.ran("clamav")`:       true,
		`checks.ran("attachments.type")`:                         false,
		`checks.failed("rcpt")`:                                  false, // that of another recipient
		`checks.passed("rcpt")`:                                  true,
		`checks.measure("spamassassin", "score") == 3.5`:         true,
		`checks.measure("spamassassin", "none") == 0.0`:          true,
		`"HTML_ONLY" in checks.texts("spamassassin")`:            true,
		`checks.texts("spamassassin").exists(t, t == "html")`:    false,
		`checks.proves("PARTNER.example")`:                       true,
		`checks.proves("anna@partner.example")`:                  true,
		`checks.proves("sender.example")`:                        false,
		`requiretls ? false : sender.matches("^bounce\\+[0-9]")`: true,
	} {
		c, wrong := compiler(t, true).Compile(text)
		if len(wrong) > 0 {
			t.Errorf("%s: %v", text, wrong[0])
			continue
		}
		if yes, why := c.Holds(record(), 0, 4.5); yes != want || why != "" {
			t.Errorf("%s is %v (%s)", text, yes, why)
		}
	}
}

// TestAllFactsAreRead: no fact of the table is missing above.
func TestAllFactsAreRead(t *testing.T) {
	source, err := os.ReadFile("rules_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Facts() {
		if n := strings.Count(string(source), f.Name); n < 1 {
			t.Errorf("%s is not tested", f.Name)
		}
		if f.Doc == "" || f.kind == nil {
			t.Errorf("%s: no doc or kind", f.Name)
		}
	}
}

// TestNotKnownYet: what is not known at a stage makes a condition one that cannot be told, never one that holds.
func TestNotKnownYet(t *testing.T) {
	from := map[string]gateway.Stage{}
	for _, f := range Facts() {
		from[f.Name] = f.From
	}
	for text, name := range map[string]string{`size < 100000`: "size", `author == ""`: "author", `helo != "x"`: "helo", `sender == ""`: "sender",
		`recipients < 100`: "recipients", `score < 100.0`: "score", `recipient != ""`: "recipient", `client != ""`: "client"} {
		c, wrong := compiler(t, true).Compile(text)
		if len(wrong) > 0 {
			t.Fatal(text, wrong[0])
		}
		for stage := gateway.Connect; stage <= gateway.Data; stage++ {
			r := record()
			if r.Stage = stage; stage < gateway.Mail {
				r.From = gateway.Address{}
			}
			yes, why := c.Holds(r, 0, 0)
			if known := stage >= from[name]; known != (why == "") || !known && yes {
				t.Errorf("%s at %v: %v, %q", text, stage, yes, why)
			}
		}
	}
	c, _ := compiler(t, false).Compile(`recipient == "x"`)
	if _, why := c.Holds(&gateway.Record{Stage: gateway.Data}, 0, 0); why == "" {
		t.Error("a Record without recipients has one")
	}
}

// TestMistakes: what an operator may write wrongly is told with its place and in words that help.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`size`:                                     "1:1 is of type int, not bool",
		`sizee > 1`:                                "1:1 undeclared reference to 'sizee' (did you mean 'size'?)",
		"size > 1 &&\n  sender = \"a\"":            "2:10 Syntax error: token recognition error at: '= '",
		`sender ==`:                                "1:10 Syntax error: mismatched input '<EOF>'",
		``:                                         "1:1 ",
		`size > "1"`:                               "1:6 found no matching overload for '_>_'",
		`score > 1.0`:                              "1:1 undeclared reference to 'score'",
		`checks.failed("spff")`:                    `1:15 there is no check "spff"`,
		`checks.has_reason("spf","none")`:          `1:25 there is no reason "none"`,
		`checks.fails("spf")`:                      "1:13 undeclared reference to 'fails'",
		`checks.proves("*.example")`:               `1:15 "*.example" is no domain or address`,
		`cidr("10/8").containsIP(client)`:          `1:6 invalid cidr argument: CIDR "10/8"`,
		`ip("10.0.0") == ip(client)`:               `1:4 invalid ip argument: IP Address "10.0.0"`,
		`sender.matches("(")`:                      "1:16 error parsing regexp: missing closing )",
		`sender.matches("[a-z]{900}")`:             "1:16 regex program size",
		`time > timestamp("yesterday")`:            "1:18 invalid timestamp",
		`[1].all(a, [1].all(b, [1].all(c, true)))`: "1:30 comprehension exceeds nesting limit",
		strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60): "1:",
		strings.Repeat("size > 1 || ", 160) + "true":               "1:",
		strings.Repeat("true && ", 300) + "true":                   "1:1 has 2404 octets",
	} {
		condition, wrong := compiler(t, false).Compile(text)
		if condition != nil || len(wrong) == 0 {
			t.Errorf("%.40q was compiled", text)
			continue
		}
		if got := fmt.Sprintf("%d:%d %s", wrong[0].Line, wrong[0].Column, wrong[0].Message); !strings.HasPrefix(got, want) {
			t.Errorf("%.40q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// TestBounded: a condition that would cost too much is given up, whatever the message holds, and does not hold.
func TestBounded(t *testing.T) {
	r := record()
	for range 5000 {
		r.Findings[3].Measures = append(r.Findings[3].Measures, gateway.Measure{Name: "rule", Text: strings.Repeat("x", 200)})
	}
	r.HeaderFrom = strings.Repeat(`"a" <a@b.example>, `, 5000)
	for _, text := range []string{
		`checks.texts("spamassassin").all(a, checks.texts("spamassassin").all(b, a != "y" || b != "y"))`,
		`checks.texts("spamassassin").all(a, !a.matches("(x+x+)+y"))`,
	} {
		c, wrong := compiler(t, false).Compile(text)
		if len(wrong) > 0 {
			t.Fatal(wrong[0])
		}
		if yes, why := c.Holds(r, 0, 0); yes || !strings.Contains(why, "cost limit") {
			t.Errorf("%s: %v, %q", text, yes, why)
		}
	}
}

// TestDocs: docs/conditions.md has the tables of facts and functions as they are.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString("| Fact | Type | Known from | |\n|---|---|---|---|\n")
	for _, f := range Facts() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.ToUpper(f.From.String()), f.Doc)
	}
	b.WriteString("\n| Asked of what the checks found | |\n|---|---|\n")
	for _, f := range Functions() {
		example, doc, _ := strings.Cut(f.Doc, "): ")
		fmt.Fprintf(&b, "| `%s)` | %s |\n", example, doc)
	}
	const page, begin, end = "../../docs/conditions.md", "<!-- facts: made by go test ./internal/rules -update -->\n", "<!-- end -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/conditions.md has no place for the tables")
	}
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != b.String() {
		t.Error("docs/conditions.md does not have the facts as they are; go test ./internal/rules -update")
	}
}

// FuzzCompile: whatever is written, compiling ends, its places are in the text, and what was compiled can be asked.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{`size > 1`, `checks.texts("spf").exists(t, t == "a")`, `sender.matches("(")`, "\"\\u0000\" == a", `[[[[`, `{"a": 1}["b"] == 1`, `1/0 == 1`, `time - duration("1h") > time`} {
		f.Add(s)
	}
	c := compiler(f, true)
	r := record()
	f.Fuzz(func(t *testing.T, text string) {
		condition, wrong := c.Compile(text)
		if (condition == nil) != (len(wrong) > 0) {
			t.Fatal("neither or both")
		}
		for _, e := range wrong {
			if e.Line < 1 || e.Column < 1 || e.Line > 1+strings.Count(text, "\n")+strings.Count(text, "\r") || !strings.Contains(e.Message, "") {
				t.Fatalf("%d:%d of %q", e.Line, e.Column, text)
			}
		}
		if condition != nil {
			if yes, why := condition.Holds(r, 0, 1); yes && why != "" {
				t.Fatal("it holds, and could not be told")
			}
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	r := record()
	for name, text := range map[string]string{"scalar": `size > 1000 && sender_domain == "sender.example" && !checks.proves("partner.example")`,
		"regexp": `sender.matches("^bounce\\+[0-9]+@") && checks.texts("spamassassin").exists(t, t.startsWith("HTML"))`} {
		c, wrong := compiler(b, false).Compile(text)
		if len(wrong) > 0 {
			b.Fatal(wrong[0])
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Holds(r, 0, 0)
			}
		})
	}
}
