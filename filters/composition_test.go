package filters

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/internal/authres"
	"gatepost/internal/lab/dnslab"
	signing "gatepost/internal/lab/signer"
	"gatepost/internal/smtpwire"
)

// attack is a file of testdata/composition. Its first line says what it shows. Then come lines of these, each once but for
// sign, above, below and replace, which are carried out in their order:
//
//	client: ADDRESS NAME       who connects; 203.0.113.66, the attacker's host, where it is left out
//	helo: NAME                 client's name, where it is left out
//	mail: PATH                 <any@evil.example>, where it is left out
//	utf8:                      SMTPUTF8 was announced
//	sign: DOMAIN KEY TAG ...   a good signature of this domain; tags as h=from:to, l=6
//	above: LINE                a header field put in front
//	below: LINE                a line behind the body
//	replace: OLD => NEW
//	want: OUTCOME [REASON]     the verdict; "edge" where MAIL does not get to a check
//	auth: METHOD=RESULT ...    what Authentication-Results say, among others
//
// and behind a line "--" the message: "..." stands for the rest of its header section and its body, \x00 for NUL. The
// victim is bank.example, which asks to reject and whose host is 192.0.2.10. No message but its own may read dmarc=pass for it.
type attack struct {
	client, helo, mail, want string
	utf8                     bool
	auth                     []string
	text                     string
	steps                    [][2]string
}

const compositionRest = "To: anna@served.example\nSubject: hello\nDate: Tue, 24 Nov 2026 00:00:00 +0000\nMessage-ID: <1@x.example>\n\nhello\n"

func readAttack(t *testing.T, path string) *attack {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, text, ok := strings.Cut(string(data), "\n--\n")
	if !ok || !strings.HasPrefix(head, "# ") {
		t.Fatal("a file has a purpose, a line of two hyphens, and a message")
	}
	a := &attack{client: "203.0.113.66", helo: "out.evil.example", mail: "<any@evil.example>"}
	for _, line := range strings.Split(head, "\n")[1:] {
		verb, rest, _ := strings.Cut(line, ":")
		rest = strings.ReplaceAll(strings.TrimPrefix(rest, " "), `\x00`, "\x00")
		switch verb {
		case "client":
			a.client, a.helo, _ = strings.Cut(rest, " ")
		case "helo":
			a.helo = rest
		case "mail":
			a.mail = rest
		case "utf8":
			a.utf8 = true
		case "want":
			a.want = rest
		case "auth":
			a.auth = strings.Fields(rest)
		case "sign", "above", "below", "replace":
			a.steps = append(a.steps, [2]string{verb, rest})
		default:
			t.Fatalf("no line begins with %s", verb)
		}
	}
	text = strings.Replace(text, "\n...\n", "\n"+compositionRest, 1)
	a.text = strings.ReplaceAll(strings.ReplaceAll(text, `\x00`, "\x00"), "\n", "\r\n")
	a.text = strings.ReplaceAll(a.text, `\\`, `\`)
	return a
}

// play carries out the steps.
func (a *attack) play(t *testing.T, key *signing.Key) {
	t.Helper()
	for _, step := range a.steps {
		before := a.text
		switch words := strings.Fields(step[1]); step[0] {
		case "sign":
			signed, err := key.For(words[0], words[1]).Sign([]byte(a.text), words[2:]...)
			if err != nil {
				t.Fatal(err)
			}
			a.text = string(signed)
		case "above":
			a.text = step[1] + "\r\n" + a.text
		case "below":
			a.text += step[1] + "\r\n"
		case "replace":
			from, to, _ := strings.Cut(step[1], " => ")
			a.text = strings.Replace(a.text, from, to, 1)
		}
		if a.text == before {
			t.Fatalf("nothing was changed by %v", step)
		}
	}
}

// compositionZones are the victim, the attacker, and keys of both and of the domain above them.
func compositionZones(key *signing.Key) string {
	return "10.2.0.192.in-addr.arpa. PTR out.bank.example.\nout.bank.example. A 192.0.2.10\n" +
		"66.113.0.203.in-addr.arpa. PTR out.evil.example.\nout.evil.example. A 203.0.113.66\nout.evil.example. TXT \"v=spf1 a -all\"\n" +
		"bank.example. MX 10 out.bank.example.\nbank.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n_dmarc.bank.example. TXT \"v=DMARC1; p=reject\"\n" +
		"evil.example. MX 10 out.evil.example.\nevil.example. TXT \"v=spf1 ip4:203.0.113.66 -all\"\n_dmarc.evil.example. TXT \"v=DMARC1; p=none\"\n" +
		key.For("bank.example", "k").Record() + key.For("evil.example", "k").Record() + key.For("example", "k").Record()
}

// TestComposition plays the published attacks on the composition of SMTP, SPF, DKIM, DMARC and mail clients, with variants,
// through all checks of the plan.
func TestComposition(t *testing.T) {
	files, err := filepath.Glob("testdata/composition/*.txt")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	key, err := signing.Ed25519("bank.example", "k")
	if err != nil {
		t.Fatal(err)
	}
	zones := dnslab.New(t, dnslab.Text(compositionZones(key)))
	const off = "[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n[checks.greylist]\naction = \"off\"\n"
	usual, observed := newComposition(t, zones, off), newComposition(t, zones, off+"[checks.author]\naction = \"observe\"\nreasons = { \"author.ambiguous\" = \"observe\", \"author.disguised\" = \"observe\" }\n"+
		"[checks.sender]\naction = \"observe\"\n[checks.dmarc]\naction = \"observe\"\nreasons = { \"dmarc.reject\" = \"observe\" }\n")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			a := readAttack(t, file)
			a.play(t, key)
			if _, err := smtpwire.ParseMail("FROM:"+a.mail, smtpwire.Offer{SMTPUTF8: true}); (err != nil) != (a.want == "edge") {
				t.Fatalf("the edge: %v, want %s", err, a.want)
			} else if err != nil {
				return
			}
			e, v := usual.judge(t, a)
			if got := strings.TrimSpace(v.Outcome.String() + " " + string(v.Reason)); got != a.want {
				t.Errorf("%s (%s), want %s", got, v.Reply, a.want)
			}
			if who := authorOf(e); !v.Outcome.Refuses() && who.Ambiguous() {
				t.Error("delivered without an author")
			}
			// With nothing refused, everything is told, and is still no pass.
			if e, v = observed.judge(t, a); v.Outcome.Refuses() {
				t.Errorf("observed: %s", v.Reply)
			}
			a.told(t, e, v)
		})
	}
}

// TestCompositionWithChecksOff plays them with every choice of checks off and all others only observed: what a check that is
// off would have said is missing, and is never a pass.
func TestCompositionWithChecksOff(t *testing.T) {
	files, err := filepath.Glob("testdata/composition/*.txt")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	key, err := signing.Ed25519("bank.example", "k")
	if err != nil {
		t.Fatal(err)
	}
	zones := dnslab.New(t, dnslab.Text(compositionZones(key)))
	const rest = "[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n[checks.sender]\naction = \"observe\"\n"
	checks := [...]string{"spf", "dkim", "arc", "author", `"spf.helo"`}
	passed := 0
	for off := range 1 << len(checks) {
		policy := "mode = \"observe\"\n" + rest
		for i, name := range checks {
			if off>>i&1 == 1 {
				policy += "[checks." + name + "]\naction = \"off\"\n"
			}
		}
		c := newComposition(t, zones, policy)
		c.snapshot.Policy.Mode = gateway.ObserveOnly
		for _, file := range files {
			a := readAttack(t, file)
			if a.want == "edge" {
				continue
			}
			a.play(t, key)
			e, v := c.judge(t, a)
			for _, r := range gateway.AuthResults(e.Findings) {
				if r.Method == "dmarc" && r.Result == "pass" && strings.HasSuffix(r.Prop("header", "from"), "bank.example") {
					if passed++; a.want != "accept" {
						t.Errorf("%s passes with %05b off", file, off)
					}
				}
			}
			if v.Outcome.Refuses() {
				t.Errorf("%s: %s under observe", file, v.Reply)
			}
		}
	}
	if passed == 0 {
		t.Error("the victim's own mail never passes, so that this shows nothing")
	}
}

// composition is all checks under one policy.
type composition struct{ snapshot *gateway.Snapshot }

func newComposition(t *testing.T, zones *dnslab.Server, policy string) *composition {
	t.Helper()
	d := &Deps{Resolver: resolver(t, zones)}
	pl := build(t, policy, d)
	return &composition{&gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}}
}

func (c *composition) judge(t *testing.T, a *attack) (*gateway.Envelope, gateway.Verdict) {
	t.Helper()
	s := from(a.client, a.helo)
	s.Snapshot = c.snapshot
	e := dataOf(t, a.text)
	e.From, e.Options.UTF8 = mailFrom(t, a.mail), a.utf8
	in := input(s, e)
	var v gateway.Verdict
	for _, stage := range []gateway.Stage{gateway.Helo, gateway.Mail, gateway.Data} {
		if v = c.snapshot.Pipeline.Run(t.Context(), stage, in); v.Outcome.Refuses() {
			break
		}
	}
	return e, v
}

// told looks at what is written into the message, as the next reader takes it.
func (a *attack) told(t *testing.T, e *gateway.Envelope, v gateway.Verdict) {
	t.Helper()
	header := gateway.ParseHeader(accept.Compose(e, &v, time.Now()).Added)
	value := header.Get("Authentication-Results")
	field, err := authres.Parse(value)
	if err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	var said []string
	for _, r := range field.Results {
		said = append(said, r.Method+"="+r.Result)
		victim := strings.HasSuffix(strings.ToLower(r.Prop("header", "from")), "bank.example")
		if genuine := a.want == "accept" && slices.Contains(a.auth, "dmarc=pass"); r.Method == "dmarc" && r.Result == "pass" && victim && !genuine {
			t.Errorf("a forgery passes: %s", value)
		}
	}
	for _, want := range a.auth {
		if !slices.Contains(said, want) {
			t.Errorf("%v, want %s", said, want)
		}
	}
	if n := strings.Count(strings.Join(said, " ")+" ", "dmarc="); n > 1 || n == 0 && len(authorOf(e).Domains) > 0 {
		t.Errorf("%v: %d words of DMARC", said, n)
	}
	if !bytes.HasSuffix(header.Raw, []byte("\r\n")) || header.Count("Authentication-Results") != 1 || header.Malformed > 0 {
		t.Errorf("%s", header.Raw)
	}
}
