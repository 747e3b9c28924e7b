package e2e

import (
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// TestConsoleRelease: a message that was kept is found in the quarantine, read as text for a reason, and let go: it arrives once, as it
// came, and the audit log tells who read it, what for, and who released it.
func TestConsoleRelease(t *testing.T) {
	t.Parallel()
	w := begin(t, consoleSetup(dnslab.New(t, dnslab.Text(consoleZones))))
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	body := "MIME-Version: 1.0\r\nContent-Type: application/x-msdownload; name=\"run.exe\"\r\n\r\nMZ " + smuggle + "\r\n"
	reply, ref := w.mail(t, "198.51.100.20", "mx.good.example", "a@good.example", "bob@served.test",
		"From: a@good.example\r\nDate: Fri, 27 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@good.example>\r\nSubject: the tool\r\n"+body)
	if !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("quarantine: %q", reply)
	}
	var done struct{ Read, Said string }
	b.Step("quarantine.release", map[string]any{"id": ref, "subject": "the tool", "why": "Bob asked for it", "look": "quarantine"}, &done)
	if !strings.Contains(done.Read, smuggle) {
		t.Errorf("read %q", done.Read)
	}
	all, err := w.hop(t).AwaitAccepted(t.Context(), 1)
	if err != nil {
		t.Fatalf("%v; the page says %q", err, done.Said)
	}
	if len(all) != 1 || !strings.HasSuffix(string(all[0].Body), body) {
		t.Errorf("%d arrived: %q", len(all), all[0].Body)
	}
	for end := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) {
		out := w.tells(t, "audit", "list")
		if strings.Contains(out, "quarantine release") && strings.Contains(out, "quarantine view") && strings.Contains(out, ownerName) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("audit:\n%s", out)
		}
	}
}
