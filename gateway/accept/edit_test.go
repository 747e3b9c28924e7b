package accept

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// editCase is a case of testdata/edits: NN-name.eml comes in, NN-name.edits says what is done to it, NN-name.out goes out.
type editCase struct {
	name  string
	in    []byte
	edits gateway.Edits
	fails bool
	e     *gateway.Envelope
	out   string // as it goes out, without our trace fields
	f     Fields
}

// editCases reads the cases and carries them out.
func editCases(t *testing.T) []*editCase {
	t.Helper()
	names, err := filepath.Glob("testdata/edits/*.eml")
	if err != nil || len(names) < 30 {
		t.Fatalf("%d cases, %v", len(names), err)
	}
	var out []*editCase
	for _, name := range names {
		c := &editCase{name: strings.TrimSuffix(name, ".eml")}
		if c.in, err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		c.e = envelope(&hop{}, string(c.in))
		s := c.e.Session.Snapshot
		s.Banners = map[string]gateway.Banner{
			"external": {Text: "This message is from outside.", HTML: `<div style="color:red">This message is from outside.</div>`},
			"extern":   {Text: "Diese Nachricht kommt von außen.\n", HTML: "<div>Diese Nachricht kommt von außen → Vorsicht.</div>"},
			"first":    {Text: "You had no mail of this sender before.\nTake care.", HTML: "<p>You had no mail of this sender before.</p>"},
		}
		tree, err := mime.Walk(mime.Bytes(c.in), mime.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		c.read(t, tree)
		at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
		v := &gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Tag}, Edits: c.edits}
		ours := len(Compose(c.e, &gateway.Verdict{Decision: v.Decision}, at).Added)
		c.f = Compose(c.e, v, at)
		if err := c.f.edit(c.e, v); (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		content := c.f.Content(c.e)
		var all bytes.Buffer
		n, err := io.Copy(&all, io.MultiReader(content.Parts...))
		if err != nil || n != content.Size {
			t.Errorf("%s: %d octets of %d: %v", c.name, n, content.Size, err)
		}
		if len(c.f.changes) > 0 && (content.Clean || content.Dots != nil) {
			t.Errorf("%s: said to be clean", c.name)
		}
		if content.EightBit = bytes.ContainsFunc(all.Bytes(), func(r rune) bool { return r > '~' }); content.EightBit && !bytes.ContainsFunc(c.in, func(r rune) bool { return r > '~' }) {
			t.Errorf("%s: 8-bit text where none was", c.name)
		}
		c.out = all.String()[ours:]
		out = append(out, c)
	}
	return out
}

// read reads what is to be done.
func (c *editCase) read(t *testing.T, tree *mime.Tree) {
	b, err := os.ReadFile(c.name + ".edits")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "strip":
			w := strings.SplitN(rest, " ", 4)
			at := slices.IndexFunc(tree.Parts, func(p mime.Part) bool { return p.Path == strings.Trim(w[0], "-") })
			if at < 0 {
				t.Fatalf("%s: no part %s in\n%s", c.name, w[0], tree)
			}
			c.edits.Strip = append(c.edits.Strip, gateway.Cut{Part: at, Check: w[1], Reason: gateway.Reason(w[2]), Args: strings.Split(w[3], "|")})
		case "banner":
			c.edits.Banners = append(c.edits.Banners, rest)
		case "subject":
			c.edits.Subject = rest
		case "fails":
			c.fails = true
		default:
			t.Fatalf("%s: %q", c.name, line)
		}
	}
}

// TestEdits holds what goes out against what is written beside it: what was done as the journal tells it, then the message.
func TestEdits(t *testing.T) {
	for _, c := range editCases(t) {
		got := strings.Join(c.f.Edits, "\n") + "\n\n" + strings.ReplaceAll(c.out, "\r\n", "\n")
		if strings.Contains(strings.ReplaceAll(c.out, "\r\n", ""), "\n") {
			t.Errorf("%s: a bare LF", c.name)
		}
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(c.name+".out", []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(c.name + ".out")
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: is\n%s\nwant\n%s", c.name, got, want)
		}
		body, err := io.ReadAll(c.f.body(c.e))
		if err != nil || !strings.HasSuffix(c.out, "\r\n"+string(body)) {
			t.Errorf("%s: what is sealed is not what goes out", c.name)
		}
	}
}

// TestEditsKeepTheRest walks what goes out: each part that was not changed has its path and its content still, a removed one
// is gone, a text with a banner ends as it was, and nothing is there that a client could read differently than before.
func TestEditsKeepTheRest(t *testing.T) {
	for _, c := range editCases(t) {
		before, after := walked(t, c.in), walked(t, []byte(c.out))
		if c.fails {
			if !strings.HasSuffix(c.out, string(c.in)) {
				t.Errorf("%s: changed although it cannot be", c.name)
			}
			continue
		}
		d := editor{e: c.e, tree: before}
		for _, cut := range c.edits.Strip {
			d.cut = append(d.cut, d.whole(cut.Part))
		}
		for i := range before.Parts {
			p := &before.Parts[i]
			at := slices.IndexFunc(after.Parts, func(q mime.Part) bool { return q.Path == p.Path })
			if d.isCut(i) {
				if at >= 0 && after.Parts[at].Type == p.Type && p.Leaf && p.Type != "text/plain" {
					t.Errorf("%s: part %s is still there", c.name, p.Path)
				}
				continue
			}
			if at < 0 || after.Parts[at].Type != p.Type {
				t.Errorf("%s: part %s is gone or another:\n%s", c.name, p.Path, after)
				continue
			}
			if !p.Leaf {
				continue
			}
			was, is := content(t, before, i), content(t, after, at)
			if old, text := textOf(t, before, i), textOf(t, after, at); text != old && old != "" {
				was, is = strings.TrimPrefix(old, "\ufeff"), text
			}
			if page := strings.Index(was, "</p>"); page >= 0 {
				was = was[page:]
			}
			if !strings.HasSuffix(is, was) {
				t.Errorf("%s: part %s is\n%q\nwas\n%q", c.name, p.Path, is, was)
			}
		}
		for _, x := range after.Defects {
			if !slices.ContainsFunc(before.Defects, func(y mime.Defect) bool { return x.Kind == y.Kind }) {
				t.Errorf("%s: %s is new: %s", c.name, x.Kind, x.Text)
			}
		}
	}
}

func walked(t *testing.T, b []byte) *mime.Tree {
	tree, err := mime.Walk(mime.Bytes(b), mime.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func textOf(t *testing.T, tree *mime.Tree, part int) (out string) {
	if err := tree.Text(part, func(text []byte) { out = string(text) }); err != nil {
		t.Fatal(err)
	}
	return out
}

func content(t *testing.T, tree *mime.Tree, part int) string {
	b, err := tree.Content(part, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pythonDefects prints for each message of a JSON list the defects that Python's email package finds.
const pythonDefects = `
import sys, json, email, email.policy
for m in json.load(sys.stdin):
    msg = email.message_from_bytes(m.encode('latin-1'), policy=email.policy.default)
    found = []
    for p in msg.walk():
        p.get_payload(decode=True)
        found += [type(d).__name__ for d in p.defects]
    print(','.join(found))
`

// TestEditsInPython shows that Python's email package finds nothing wrong in what goes out that was not wrong before.
func TestEditsInPython(t *testing.T) {
	cases := editCases(t)
	latin := func(b []byte) string {
		r := make([]rune, len(b))
		for i, c := range b {
			r[i] = rune(c)
		}
		return string(r)
	}
	var list []string
	for _, c := range cases {
		list = append(list, latin(c.in), latin([]byte(c.out)))
	}
	in, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", pythonDefects)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("python3 is needed: ", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(list) {
		t.Fatalf("%d lines for %d messages", len(lines), len(list))
	}
	for i, c := range cases {
		if before, after := lines[2*i], lines[2*i+1]; after != "" && after != before {
			t.Errorf("%s: Python finds %s, before %q", c.name, after, before)
		}
	}
}

// shelf is a vault that keeps what it was given.
type shelf struct {
	rcpts   []gateway.Recipient
	verdict *gateway.Verdict
	shown   bool
}

func (s *shelf) Prepare(_ context.Context, k *gateway.Keeping) (gateway.Kept, error) {
	s.rcpts, s.verdict = k.Rcpts, k.Verdict
	return s, nil
}
func (s *shelf) Publish() error { s.shown = true; return nil }
func (s *shelf) Drop()          {}

// TestStripThatCannotBe shows that a message goes to nobody whose part may not go out and cannot be taken out: it is quarantined
// for all, and without a vault refused.
func TestStripThatCannotBe(t *testing.T) {
	in, err := os.ReadFile("testdata/edits/08-strip-signed.eml")
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(walked(t, in).Parts, func(p mime.Part) bool { return p.Name() == "tool.exe" })
	verdict := func() *gateway.Verdict {
		return &gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Tag}, Rcpts: []gateway.Decision{{Outcome: gateway.Tag}, {}},
			Edits: gateway.Edits{Strip: []gateway.Cut{{Part: at, Check: "attachments.type", Reason: gateway.AttachmentType, Args: []string{"tool.exe", "program"}}}}}
	}
	kept := &shelf{}
	for name, a := range map[string]*Acceptor{"kept": {Vault: kept}, "refused": {}} {
		h := &hop{answer: yes}
		e := rcpts(envelope(h, string(in)), "anna", "bernd")
		v := verdict()
		r := a.Deliver(t.Context(), e, v)
		if h.content != "" {
			t.Errorf("%s: relayed", name)
		}
		want := "550 5.7.1 Message refused: files of this kind are not taken here: tool.exe (program)"
		if a.Vault != nil {
			want = "250 2.0.0"
		}
		if got := r.Reply.String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", name, got)
		}
		if len(r.Edits) != 1 || !strings.Contains(r.Edits[0], "lies in multipart/signed") {
			t.Errorf("%s: %q", name, r.Edits)
		}
		if v.Rcpts[0].Outcome != gateway.Tag {
			t.Errorf("%s: the verdict itself was changed", name)
		}
	}
	if len(kept.rcpts) != 2 || !kept.shown || kept.verdict.Rcpts[0].Reason != gateway.AttachmentType {
		t.Errorf("kept for %v, shown %t, %v", kept.rcpts, kept.shown, kept.verdict)
	}
}

// TestEditsAreDelivered shows that the next hop gets the message as it was changed, and that a seal is over just that.
func TestEditsAreDelivered(t *testing.T) {
	in, err := os.ReadFile("testdata/edits/40-all.eml")
	if err != nil {
		t.Fatal(err)
	}
	h := &hop{answer: yes}
	e := envelope(h, string(in))
	s := &sealer{always: true, fields: "ARC-Seal: i=1\r\n"}
	e.Session.Snapshot.Sealer = s
	e.Session.Snapshot.Banners = map[string]gateway.Banner{"external": {Text: "From outside."}}
	r := (&Acceptor{}).Deliver(t.Context(), e, &gateway.Verdict{Edits: gateway.Edits{Strip: []gateway.Cut{{Part: 2, Check: "attachments.type", Reason: gateway.AttachmentType}},
		Banners: []string{"external"}, Subject: "[X]"}})
	if r.Reply.Code != 250 || strings.Contains(h.content, "TVqQAAAB") || !strings.Contains(h.content, "Subject: [X] Report\r\n") ||
		!strings.Contains(h.content, "\r\n\r\nFrom outside.\r\n\r\nHello Bob,\r\n") || !strings.HasPrefix(h.content, "ARC-Seal: ") {
		t.Errorf("%s\n%s", r.Reply, h.content)
	}
	sealed, err := io.ReadAll(s.shown.Body)
	if err != nil || !strings.HasSuffix(h.content, "\r\n\r\n"+string(sealed)) || !strings.HasPrefix(string(sealed), "--b1\r\n") {
		t.Errorf("sealed %v\n%s", err, sealed)
	}
}
