package mime

import (
	"fmt"
	"strconv"
	"strings"
)

// String prints the tree for people: a line for each part and each defect.
func (t *Tree) String() string {
	var b strings.Builder
	for i := range t.Parts {
		p := &t.Parts[i]
		fmt.Fprintf(&b, "%s%s", strings.Repeat("  ", p.Depth), orDash(p.Path))
		if p.Doubt {
			b.WriteString(" (doubtful)")
		}
		fmt.Fprintf(&b, " %s", p.Type)
		for _, s := range [...]string{p.Encoding, p.Disposition} {
			if s != "" {
				b.WriteString(" " + clean(s))
			}
		}
		for _, name := range p.Names {
			b.WriteString(" " + strconv.Quote(clean(name)))
		}
		if p.Leaf {
			fmt.Fprintf(&b, " %d octets", p.Octets)
		}
		b.WriteByte('\n')
	}
	for _, d := range t.Defects {
		fmt.Fprintf(&b, "! %s %s %s\n", orDash(t.Parts[d.Part].Path), d.Kind, d.Text)
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

func orDash(path string) string {
	if path == "" {
		return "-"
	}
	return path
}
