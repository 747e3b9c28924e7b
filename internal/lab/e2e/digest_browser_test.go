package e2e

import (
	"regexp"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// digestPath is where the one link of a digest leads to.
func digestPath(t *testing.T, raw []byte) string {
	t.Helper()
	_, text := digestText(t, raw)
	path, ok := strings.CutPrefix(regexp.MustCompile(`https://\S+`).FindString(text), portalURL)
	if !ok {
		t.Fatalf("no link: %s", text)
	}
	return path
}

// followed has eve, who was told of the message ref in the digest raw, follow its link in Chromium (flow 20): to open it, twice, releases
// nothing; the button releases it, once, whatever is pressed behind it; and the link of a message that a scanner knows by now is refused.
func (w *world) followed(t *testing.T, ref string, raw []byte) {
	t.Helper()
	b := labtest.StartBrowser(t, lab.BrowserOptions{Base: portalURL, Width: 390, Hosts: "MAP quarantine.served.test " + w.portal(t)})
	type page struct {
		Status, Buttons int
		Text            string
	}
	before := len(w.hop(t).Accepted())
	path := digestPath(t, raw)
	var p page
	for _, look := range []string{"digest-link", ""} { // each with a browser of its own, as who looks at links before people do
		b.Step("digest.open", map[string]any{"path": path, "tabs": 2, "look": look}, &p)
		if p.Status != 200 || p.Buttons != 1 || !strings.Contains(p.Text, ref) || !strings.Contains(p.Text, "eve@served.test") || !strings.Contains(p.Text, "easily forged") {
			t.Errorf("the link: %+v", p)
		}
	}
	if n := len(w.hop(t).Accepted()) - before; n != 0 {
		t.Fatalf("looking released: %d arrived", n)
	}
	for tab, look := range []string{"", "digest-released"} {
		b.Step("digest.press", map[string]any{"tab": tab, "look": look}, &p)
		if p.Status != 200 || p.Buttons != 0 || !strings.Contains(p.Text, "has been released") {
			t.Errorf("pressed in tab %d: %+v", tab, p)
		}
		if n := len(w.hop(t).Accepted()) - before; n != 1 {
			t.Errorf("pressed in tab %d: %d arrived", tab, n)
		}
	}
	b.Step("digest.open", map[string]any{"path": path}, &p)
	if p.Status != 200 || p.Buttons != 0 || !strings.Contains(p.Text, "has been released") {
		t.Errorf("the link was used: %+v", p)
	}
	w.awaitCommand(t, `"object":"`+ref+`","domain":"served.test"`, "audit", "list", "--json", "--actor", "eve@served.test", "--operation", "quarantine release")

	// A scanner learns meanwhile what it is.
	later := w.quarantined(t, "dan@served.test")
	w.command(t, 0, "quarantine", "digest", "--send")
	all := w.hop(t).Accepted()
	path = digestPath(t, all[len(all)-1].Raw)
	w.clamd.On("INSTREAM", lab.Action{Bytes: []byte("stream: Win.Trojan.Later-1 FOUND\x00"), Then: lab.Close})
	b.Step("digest.open", map[string]any{"path": path}, &p)
	if p.Status != 200 || p.Buttons != 1 || !strings.Contains(p.Text, later) {
		t.Errorf("the link of what is malware by now: %+v", p)
	}
	b.Step("digest.press", map[string]any{"status": 403, "look": "digest-refused"}, &p)
	if p.Status != 403 || p.Buttons != 0 || !strings.Contains(p.Text, "Only your administrator can release this message") {
		t.Errorf("malware: %+v", p)
	}
	if n := len(w.hop(t).Accepted()); n != len(all) {
		t.Errorf("malware: %d arrived", n-len(all))
	}
	w.awaitCommand(t, later, "audit", "list", "--json", "--actor", "dan@served.test")
}
