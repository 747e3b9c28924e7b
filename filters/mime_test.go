package filters

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// TestMIMEKinds shows that each kind of defect is a measure of the check, and that it has no others but hidden.
func TestMIMEKinds(t *testing.T) {
	var declared []string
	for _, m := range mimeMeasures() {
		declared = append(declared, m.Name)
	}
	want := []string{"hidden"}
	for _, k := range mime.Kinds() {
		want = append(want, string(k))
	}
	slices.Sort(declared)
	slices.Sort(want)
	if !slices.Equal(declared, want) {
		t.Errorf("declared %v\nkinds    %v", declared, want)
	}
}

// TestMIME shows what the check makes of messages, and what that costs by default.
func TestMIME(t *testing.T) {
	mixed := "Content-Type: multipart/mixed; boundary=b"
	version := "MIME-Version: 1.0"
	part := func(lines ...string) string { return strings.Join(append([]string{"--b"}, lines...), "\r\n") + "\r\n" }
	text := part("Content-Type: text/plain", "", "hello")
	file := part("Content-Type: application/zip; name=a.zip", "Content-Transfer-Encoding: base64", "", "UEsDBA==")
	d := &Deps{}
	pl := build(t, "", d)
	for name, c := range map[string]struct {
		fields   []string
		body     string
		reason   gateway.Reason
		outcome  gateway.Outcome
		measures string
		points   float64
	}{
		"plain":            {body: "hello\r\n"},
		"attachment":       {fields: []string{version, mixed}, body: text + file + "--b--\r\n"},
		"cut off":          {fields: []string{version, mixed}, body: text + file, measures: "end_missing", points: 0.1},
		"no MIME-Version":  {fields: []string{mixed}, body: text + "--b--\r\n", measures: "version_missing"},
		"list's words":     {fields: []string{version, mixed}, body: text + "--b--\r\n_____\r\nlist mailing list\r\nlist@lists.example\r\nhttps://lists.example/listinfo/list\r\n"},
		"hidden by a type": {fields: []string{version, "Content-Type: text/plain", mixed}, body: text + file + "--b--\r\n", reason: gateway.MIMEAmbiguous, outcome: gateway.Tag, measures: "hidden,type_repeated", points: 5},
		"hidden in front":  {fields: []string{version, mixed}, body: "Content-Type: text/html\r\n\r\n<a href=x>" + strings.Repeat("words ", 20) + "\r\n" + text + "--b--\r\n", reason: gateway.MIMEAmbiguous, measures: "hidden,preamble_text", points: 3.5},
		"too deep":         {fields: []string{version, "Content-Type: message/rfc822"}, body: strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 30), reason: gateway.MIMELimits, outcome: gateway.Quarantine, measures: "too_deep"},
		"too many":         {fields: []string{version, mixed}, body: strings.Repeat("--b\r\n\r\nx\r\n", 1100), reason: gateway.MIMELimits, outcome: gateway.Quarantine, measures: "too_many"},
	} {
		e := dataOf(t, strings.TrimSuffix(with("", c.fields...), "text\r\n")+c.body)
		f, v := judged(t, d, pl, "mime", e)
		var names []string
		for _, m := range f.Measures {
			names = append(names, m.Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, ","); got != c.measures || f.Reason != c.reason || (f.Result == gateway.Fail) != (c.reason != "") {
			t.Errorf("%s: %s %s %v, measures %s", name, f.Result, f.Reason, f.Evidence, got)
		}
		if fmt.Sprintf("%.2f", v.Score) != fmt.Sprintf("%.2f", c.points) || v.Outcome != c.outcome {
			t.Errorf("%s: %s with %.2f points", name, v.Outcome, v.Score)
		}
		if c.reason == gateway.MIMEAmbiguous && len(f.Parts) == 0 {
			t.Errorf("%s: no part is named", name)
		}
	}
}

// TestMIMECannotRead shows that a message that cannot be read is not known, and that no tree is there then.
func TestMIMECannotRead(t *testing.T) {
	d := &Deps{}
	pl := build(t, "", d)
	e := dataOf(t, with(""))
	e.Body = broken{e.Body}
	if f, v := judged(t, d, pl, "mime", e); f.Result != gateway.Unknown || v.Outcome != gateway.Defer {
		t.Errorf("%s, %s", f.Result, v.Outcome)
	}
	if tree(&gateway.Input{Envelope: e}) != nil || tree(&gateway.Input{}) != nil {
		t.Error("a tree")
	}
}
