package e2e

import (
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// smuggle is markup that tells when it is taken for such.
const smuggle = `"'><img src=x onerror=globalThis.gatepostRan=1 data-smuggled><script>globalThis.gatepostRan=1</script><a href="https://evil.example/" hx-get="/logout">x</a>`

// TestConsoleHostile: whatever strangers write into their mail, into what they say to us and into what servers answer is text on every
// page: no element, no link, no script of it, and no request to where it points.
func TestConsoleHostile(t *testing.T) {
	t.Parallel()
	w := begin(t, consoleSetup(dnslab.New(t, dnslab.Text(consoleZones))))
	w.hop(t).On("DOT", lab.Reply("550 5.1.1 no such user "+smuggle), lab.Action{})
	head := "From: " + `"` + strings.ReplaceAll(smuggle, `"`, `\"`) + `" <a@good.example>` + "\r\nTo: bob@served.test\r\nDate: Fri, 27 Nov 2026 08:00:00 +0000\r\n" +
		"Message-ID: <" + "<svg/onload=globalThis.gatepostRan=1>" + "@good.example>\r\nX-Smuggled: " + smuggle + "\r\n"
	reply, refused := w.mail(t, "198.51.100.7", "mx.good.example", "a@good.example", "bob@served.test", head+"Subject: at the next hop\r\n\r\nhello\r\n")
	if refused == "" {
		t.Fatalf("refused by the next hop: %q", reply)
	}
	long := strings.Repeat("A", 20000)
	reply, file := w.mail(t, "198.51.100.7", "mx.good.example", `"<b/onfocus=globalThis.gatepostRan=1>"@good.example`, "bob@served.test", head+
		"Subject: "+smuggle+" \u202e drawkcab\u202c end\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"+
		"--x\r\nContent-Type: text/html\r\n\r\n"+smuggle+"\r\n--x\r\nContent-Type: application/x-msdownload; name=\""+"<img src=x onerror=globalThis.gatepostRan=1>.exe\"\r\n"+
		"Content-Disposition: attachment; filename*=utf-8''%3Cscript%3EglobalThis.gatepostRan%3D1%3C%2Fscript%3E.exe\r\n\r\nMZ\x90\r\n--x--\r\n")
	if file == "" {
		t.Fatalf("the file: %q", reply)
	}
	_, wide := w.mail(t, "198.51.100.8", "mx.good.example", "a@good.example", "bob@served.test", head+"Subject: "+fold(long)+"\r\n\r\nhello\r\n")
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	b.Step("log.arrived", map[string]any{"query": "", "count": 3}, nil)
	b.Try("hostile.shown", map[string]any{"look": "hostile-log", "pages": map[string][]string{"/": nil, "/log": {"<img src=x onerror=globalThis.gatepostRan=1"}}}, nil)
	b.Try("hostile.shown", map[string]any{"look": "hostile-hop", "pages": map[string][]string{"/log/m/" + refused: {"no such user \"'><img src=x"}}}, nil)
	b.Try("hostile.shown", map[string]any{"look": "hostile-file", "pages": map[string][]string{"/log/m/" + file: {smuggle}}}, nil)
	b.Try("hostile.shown", map[string]any{"look": "hostile-long", "pages": map[string][]string{"/log/m/" + wide: {"show all"}}}, nil)
}

// fold is a long value in lines that a header may have.
func fold(s string) string {
	var b strings.Builder
	for len(s) > 900 {
		b.WriteString(s[:900] + "\r\n ")
		s = s[900:]
	}
	return b.String() + s
}
