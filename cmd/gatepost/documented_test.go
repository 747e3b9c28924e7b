package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/internal/config"
)

// example is a piece of a document that a page shows.
type example struct {
	at   string // file:line
	file string // which document; empty: the page does not say
	text string
}

// examples are the pieces of configuration of a page: fenced as toml, or indented and beginning with the name of a document, a
// table or a key. A piece may be of both documents, a comment before each.
func examples(page, text string) (out []example) {
	pieces := regexp.MustCompile("(?m)^```toml\n((?s:.*?))^```|((?:^    .*\n|^\n)*^    .*\n)")
	for _, m := range pieces.FindAllStringSubmatchIndex(text, -1) {
		at := fmt.Sprintf("%s:%d", page, 1+strings.Count(text[:m[0]], "\n"))
		piece := ""
		if m[2] >= 0 {
			piece = text[m[2]:m[3]]
		} else {
			piece = regexp.MustCompile(`(?m)^    `).ReplaceAllString(text[m[4]:m[5]], "")
			if !regexp.MustCompile(`^\s*(# (policy|gatepost)\.toml|\[)`).MatchString(piece) {
				continue // a command, an output, a record of DNS
			}
		}
		file := ""
		starts := regexp.MustCompile(`(?m)^# (policy|gatepost)\.toml.*\n`).FindAllStringSubmatchIndex(piece, -1)
		from := 0
		for _, s := range starts {
			if before := piece[from:s[0]]; strings.TrimSpace(before) != "" {
				out = append(out, example{at, file, before})
			}
			file, from = piece[s[2]:s[3]]+".toml", s[1]
		}
		out = append(out, example{at, file, piece[from:]})
	}
	return out
}

// around adds what an example of policy.toml names and leaves out: routes, banners, groups, directories, and a domain.
func around(text string) string {
	text = inTenDays(text)
	var b strings.Builder
	b.WriteString(text)
	names := func(table string) map[string]bool {
		known := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^\[\[`+table+`\]\].*\n(?:[#\w].*\n)*?name = "([^"]+)"`).FindAllStringSubmatch(text, -1) {
			known[m[1]] = true
		}
		return known
	}
	add := func(table, keys, rest string) {
		known := names(table)
		for _, m := range regexp.MustCompile(`(?m)\b(?:`+keys+`) += "([^"]+)"`).FindAllStringSubmatch(text, -1) {
			if !known[m[1]] && !strings.Contains(m[1], ":") { // a route, and no server
				known[m[1]] = true
				fmt.Fprintf(&b, "\n[[%s]]\nname = %q\n%s\n", table, m[1], rest)
			}
		}
	}
	add("route", "route|notices_via|via", `next_hop = [{ host = "192.0.2.1" }]`)
	add("banner", "banner", `text = "from outside"`)
	for _, m := range regexp.MustCompile(`(?m)^(to|directories) += \[(.*?)\]`).FindAllStringSubmatch(text, -1) {
		table, rest := "group", `members = ["somebody@example.org"]`
		if m[1] == "directories" {
			table, rest = "directory", `kind = "file"`
		}
		known := names(table)
		for _, name := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(m[2], -1) {
			if !known[name[1]] && !strings.ContainsAny(name[1], "@.") {
				fmt.Fprintf(&b, "\n[[%s]]\nname = %q\n%s\n", table, name[1], rest)
			}
		}
	}
	if !names("domain")["example.org"] {
		b.WriteString("\n[[domain]]\nname = \"example.org\"\nroute = \"of-the-domain\"\n[[route]]\nname = \"of-the-domain\"\nnext_hop = [{ host = \"192.0.2.1\" }]\n")
	}
	return b.String()
}

// inTenDays moves every day that a document names to one that will always be near, as a reader would.
func inTenDays(text string) string {
	return regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`).ReplaceAllString(text, time.Now().UTC().AddDate(0, 0, 10).Format(time.DateOnly))
}

// TestDocumentedConfiguration reads every example of a configuration in README.md and docs as `gatepost check` does.
func TestDocumentedConfiguration(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range examples(filepath.Base(page), string(text)) {
			n++
			_, bootstrap := config.DecodeBootstrap(config.BootstrapFile, []byte(x.text))
			_, policy := config.DecodePolicy(config.PolicyFile, []byte(around(x.text)), sections())
			if x.file != config.PolicyFile && !bootstrap.Refused() || x.file != config.BootstrapFile && !policy.Refused() {
				continue
			}
			t.Errorf("%s is taken neither as\n%v\nnor as\n%v\n%s", x.at, bootstrap, policy, x.text)
		}
	}
	if n < 40 {
		t.Errorf("only %d examples", n)
	}
}
