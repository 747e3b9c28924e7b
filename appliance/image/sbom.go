package image

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

// BOM is a list of what is in an image, in the form CycloneDX 1.5 (cyclonedx.org/docs/1.5/json). Only what is known is said.
type BOM struct {
	Format      string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    Metadata    `json:"metadata"`
	Components  []Component `json:"components"`
}

// Metadata says of what the list is.
type Metadata struct {
	Component Component `json:"component"`
}

// Component is one package or module. PURL is its package URL, which is how lists of vulnerabilities name it.
type Component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref,omitempty"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl,omitempty"`
	Properties []Property `json:"properties,omitempty"`
}

// Property is a name with a value that CycloneDX has no field for.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// NewBOM makes the list of an image of this version: of packages, which has a line for each Debian package (name, version,
// architecture, source package and its version, separated by tabs), and of what went into our program.
// The same input makes the same list; it has no time and no serial number of its own.
func NewBOM(version string, packages io.Reader, program *debug.BuildInfo) (*BOM, error) {
	bom := &BOM{Format: "CycloneDX", SpecVersion: "1.5", Version: 1, Components: []Component{},
		Metadata: Metadata{Component: Component{Type: "operating-system", Ref: "gatepost-image", Name: "gatepost-image", Version: version}}}
	lines := bufio.NewScanner(packages)
	for n := 1; lines.Scan(); n++ {
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 5 || slices.Contains(f, "") {
			return nil, fmt.Errorf("packages, line %d: not name, version, architecture, source and its version", n)
		}
		purl := fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", escape(f[0]), escape(f[1]), escape(f[2]))
		bom.Components = append(bom.Components, Component{Type: "library", Ref: purl, Name: f[0], Version: f[1], PURL: purl,
			Properties: []Property{{"debian:source", f[3]}, {"debian:source-version", f[4]}}})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("packages: %w", err)
	}
	if len(bom.Components) == 0 {
		return nil, fmt.Errorf("packages: the list is empty")
	}
	bom.Components = append(bom.Components,
		Component{Type: "application", Ref: "gatepost", Name: "gatepost", Version: version},
		module("std", strings.TrimPrefix(program.GoVersion, "go")))
	for _, m := range program.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		bom.Components = append(bom.Components, module(m.Path, m.Version))
	}
	slices.SortFunc(bom.Components, func(a, b Component) int { return strings.Compare(a.Ref, b.Ref) })
	return bom, nil
}

func module(path, version string) Component {
	purl := "pkg:golang/" + path + "@" + escape(version)
	return Component{Type: "library", Ref: purl, Name: path, Version: version, PURL: purl}
}

// escape writes what a package URL has in percent signs: all but letters, digits and ".-_~:".
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".-_~:", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Write writes the list as JSON.
func (b *BOM) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(b)
}
