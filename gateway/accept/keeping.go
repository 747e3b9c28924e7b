package accept

import (
	"strings"
	"time"

	"gatepost/gateway"
)

// keeping is what the vault is to know of a message: our trace fields without the verdict, which no longer holds once somebody
// lets it go, and which of its own fields stay behind then.
func keeping(e *gateway.Envelope, v *gateway.Verdict, f *Fields) *gateway.Keeping {
	b := add(nil, "X-Gatepost-Trace: ", e.ID.String(), "\r\n")
	if len(f.ScannedBy) > 0 {
		b = add(b, "X-Gatepost-Scanned: ", strings.Join(f.ScannedBy, ";\r\n\t"), "\r\n")
	}
	b = append(b, f.results...)
	b = gateway.AppendReceived(b, e, time.Now())
	var own Fields
	own.strip(e.Header, e.Session.Snapshot.Hostname)
	if first := own.firstOctet(e.Header.Raw); first == ' ' || first == '\t' {
		b = add(b, malformed)
	}
	return &gateway.Keeping{Envelope: e, Verdict: v, Trace: b, Cut: own.cuts(len(e.Header.Raw))}
}

// cuts are the parts of a header section that were left out.
func (f *Fields) cuts(size int) (out [][2]int) {
	at := 0
	for _, s := range f.kept {
		if s.from > at {
			out = append(out, [2]int{at, s.from})
		}
		at = s.to
	}
	if at < size {
		out = append(out, [2]int{at, size})
	}
	return out
}
