package handover

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"text/template"
)

// byTemplate is a kit as text/template fills it in.
func byTemplate(t *testing.T, p Product, f Facts) string {
	t.Helper()
	list := func(v any) (out []string) {
		switch l := v.(type) {
		case []string:
			return l
		case []netip.Addr:
			for _, a := range l {
				out = append(out, a.String())
			}
		}
		return out
	}
	all, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"commas":     func(v any) string { return strings.Join(list(v), ",") },
		"spaces":     func(v any) string { return strings.Join(list(v), " ") },
		"semicolons": func(v any) string { return strings.Join(list(v), " ; ") },
		"quoted":     func(v any) string { return `"` + strings.Join(list(v), `","`) + `"` },
		"dashed":     func(s string) string { return strings.ReplaceAll(s, ".", "-") },
		"accessform": func(a netip.Addr) string {
			if a.Is4() {
				return a.String()
			}
			return "IPv6:" + a.String()
		},
	}).ParseFS(kits, "kits/common.txt", "kits/"+p.Name+".txt")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := all.ExecuteTemplate(&b, p.Name+".txt", sheet{Facts: f, Product: p.Name, Title: p.Title, Mark: p.mark}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFill holds each kit against what text/template makes of it, on every way through it.
func TestFill(t *testing.T) {
	for _, p := range Products() {
		for _, port := range []int{25, 24, 2525} {
			for _, forward := range []string{"", "xclient", "xforward"} {
				for _, host := range []string{"mail.inside.example", "192.0.2.1", "unix:/run/lmtp"} {
					f := facts()
					f.Port, f.Forward, f.HopHost = port, forward, host
					want := byTemplate(t, p, f)
					if got := kit(t, p.Name, f); got != want {
						t.Fatalf("%s, port %d, forward %q, to %s:\n%s\nand text/template:\n%s", p.Name, port, forward, host, got, want)
					}
				}
			}
		}
	}
}

// TestFillFaults shows that what a kit must not have is an error, and no text.
func TestFillFaults(t *testing.T) {
	for _, text := range []string{"{{.Nothing}}", "{{$nothing}}", "{{template \"nothing\" .}}", "{{with .Port}}x{{end}}", "{{.Port | print}}", "{{nothing}}", "{{if", "{{.Port.Number}}"} {
		if got, err := fill(text, "", map[string]any{"Port": 25}, functions()); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}
