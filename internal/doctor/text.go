package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// inOrder sorts lines by their numbers, those of one number as they came.
func inOrder(lines []numbered) []Line {
	slices.SortStableFunc(lines, func(a, b numbered) int { return cmp.Compare(a.at, b.at) })
	out := make([]Line, len(lines))
	for i := range lines {
		out[i] = lines[i].Line
	}
	return out
}

// clean makes text of strangers one line of printable octets, at most so many of them. What is not ASCII is written as a
// question mark: it could turn a page around.
func clean(s string, most int) string {
	b := []byte(s[:min(len(s), most)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	if len(s) > most {
		return string(b) + "..."
	}
	return string(b)
}

// join lists things for a line, not more of them than can be read.
func join[T interface{ ~string | netip.Addr }](list []T) string {
	const most = 8
	var out []string
	for _, x := range list[:min(len(list), most)] {
		switch v := any(x).(type) {
		case netip.Addr:
			out = append(out, v.String())
		case string:
			out = append(out, v)
		}
	}
	if len(list) > most {
		out = append(out, "...")
	}
	return strings.Join(out, ", ")
}

// fqdn writes a name as a zone file has it.
func fqdn(name string) string { return strings.TrimSuffix(name, ".") + "." }

// same compares host names.
func same(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// record writes a record as a zone file has it.
func record(name, kind, data string) string { return fqdn(name) + " 3600 IN " + kind + " " + data }

// addressRecord writes the record of an address.
func addressRecord(name string, a netip.Addr) string {
	if a.Is4() {
		return record(name, "A", a.String())
	}
	return record(name, "AAAA", a.String())
}

// ms writes a time for people.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1e3) }

// count writes a number of things.
func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
