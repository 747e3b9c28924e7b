package filters

import (
	"context"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
	"gatepost/internal/dns"
	"gatepost/internal/spf"
)

// findPath notes by what way a message may have come: where something hints at a list or a forwarder, who handed it over,
// as far as that is proven. The hint itself proves nothing.
func (a *dmarcAnswer) findPath(ctx context.Context, d *Deps, e *gateway.Envelope) {
	told, hint := hintOf(e, d.dmarc)
	if hint == "" || a.inside {
		return
	}
	host := ""
	if s := d.spfMail(ctx, e); s.Result == spf.Pass {
		host = dmarc.Registered(s.Domain)
	}
	name := ""
	if r := d.reverse(ctx, e.Session); host == "" && r.Status == dns.Found {
		name = dmarc.Registered(r.Name)
	}
	a.path, a.hint = gateway.PathOf(host, name, e.Session.Client.Addr(), told), hint
}

// hintOf looks for something that hints at a list or a forwarder: what it tells of the way, if anything, and the hint in
// words; "" for none.
func hintOf(e *gateway.Envelope, o *DMARCOptions) (told, hint string) {
	if id := gateway.CleanText(listID(e.Header.Get("List-Id")), 128); id != "" && o.hinted("List-Id") {
		return "list:" + id, "List-Id: " + id
	}
	if sealer := gateway.CleanText(lastSealer(e.Header), 128); sealer != "" {
		return "arc:" + sealer, "an ARC set of " + sealer
	}
	local := strings.ToUpper(e.From.Local)
	if rest, ok := strings.CutPrefix(local, "SRS"); ok && len(rest) > 2 && (rest[0] == '0' || rest[0] == '1') && strings.ContainsRune("=+-", rune(rest[1])) {
		return "", "a reverse-path that a forwarder rewrote"
	}
	for _, name := range o.hints() {
		if e.Header.Count(name) > 0 && !strings.EqualFold(name, "List-Id") {
			return "", "a field " + name
		}
	}
	return "", ""
}

// hints are the fields that hint.
func (o *DMARCOptions) hints() []string {
	if o == nil || o.Hints == nil {
		return defaultHints[:]
	}
	return o.Hints
}

func (o *DMARCOptions) hinted(field string) bool {
	for _, name := range o.hints() {
		if strings.EqualFold(name, field) {
			return true
		}
	}
	return false
}

// listID returns the identifier of a List-Id (RFC 2919), or the whole field where it has no angle brackets.
func listID(value string) string {
	if i := strings.LastIndexByte(value, '<'); i >= 0 {
		value = value[i+1:]
		if j := strings.IndexByte(value, '>'); j >= 0 {
			value = value[:j]
		}
	}
	return strings.TrimSpace(value)
}

// lastSealer returns the domain of the ARC-Seal that was added last, which is the first in the header section, as it says.
func lastSealer(h *gateway.Header) string {
	for tag := range strings.SplitSeq(h.Get("ARC-Seal"), ";") {
		if name, value, _ := strings.Cut(tag, "="); strings.TrimSpace(name) == "d" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
