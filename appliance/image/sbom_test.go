package image

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

const packageLines = "libc6\t2.36-9+deb12u10\tamd64\tglibc\t2.36-9+deb12u10\nspamd\t4.0.1-1~deb12u1\tall\tspamassassin\t4.0.1-1~deb12u1\n"

func TestBOM(t *testing.T) {
	program := &debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: "github.com/miekg/dns", Version: "v1.1.73"},
		{Path: "old.example/m", Version: "v1.0.0", Replace: &debug.Module{Path: "new.example/m", Version: "v2.0.0+incompatible"}}}}
	var out [2]bytes.Buffer
	for i := range out {
		bom, err := NewBOM("1.2.3", strings.NewReader(packageLines), program)
		if err != nil {
			t.Fatal(err)
		}
		if err := bom.Write(&out[i]); err != nil {
			t.Fatal(err)
		}
	}
	if out[0].String() != out[1].String() {
		t.Error("the same input makes another list")
	}
	var back BOM
	if err := json.Unmarshal(out[0].Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back.Format != "CycloneDX" || back.SpecVersion != "1.5" || back.Metadata.Component.Version != "1.2.3" {
		t.Errorf("head: %+v", back)
	}
	purls := map[string]bool{}
	for _, c := range back.Components {
		if c.Ref == "" || purls[c.Ref] {
			t.Errorf("bom-ref %q is empty or there twice", c.Ref)
		}
		purls[c.Ref] = true
	}
	for _, want := range []string{"pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64", "pkg:deb/debian/spamd@4.0.1-1~deb12u1?arch=all", "gatepost",
		"pkg:golang/std@1.26.8", "pkg:golang/github.com/miekg/dns@v1.1.73", "pkg:golang/new.example/m@v2.0.0%2Bincompatible"} {
		if !purls[want] {
			t.Errorf("%s is not in the list", want)
		}
	}
	if len(purls) != 6 {
		t.Errorf("%d components, want 6", len(purls))
	}
	for _, bad := range []string{"", "libc6\t2.36\n", "libc6\t\tamd64\tglibc\t1\n"} {
		if _, err := NewBOM("1", strings.NewReader(bad), program); err == nil {
			t.Errorf("%q is taken for a list of packages", bad)
		}
	}
}

// Each package that is asked for has a name of its own in the list, and none is a compiler.
func TestPackageList(t *testing.T) {
	data, err := os.ReadFile("packages")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, "#")
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if seen[name] || strings.ContainsAny(name, " \t,") {
			t.Errorf("%q: twice, or more than one name on a line", name)
		}
		seen[name] = true
		for _, bad := range []string{"gcc", "build-essential", "openssh-server", "sudo", "apt", "initramfs-tools"} {
			if name == bad {
				t.Errorf("%s must not be in the root", name)
			}
		}
	}
	for _, want := range []string{"systemd", "clamav-daemon", "clamav-freshclam", "spamd", "redis-server", "unbound", "dns-root-data", "nftables", "chrony", "gpg-agent"} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
}
