package doctor

import (
	"context"
	"slices"
)

// TLSAHost is how the TLSA records of a mail host of ours stand to the certificates that it shows.
type TLSAHost struct {
	Host    string
	State   string   // in words
	Verdict Verdict  // Unknown: it could not be told
	Counts  bool     // senders that validate find records that match
	Do      []string // what to publish, to remove, and what else
}

// tlsa looks at the TLSA records of our mail hosts. It returns those that count.
func (w *World) tlsa(ctx context.Context, p part) (count []string) {
	const id = "domain.tlsa"
	if w.AskTLSA == nil {
		return nil
	}
	all, err := w.AskTLSA(ctx)
	if err != nil {
		p.unknown(id, "", "the TLSA records of our mail hosts could not be looked at: "+err.Error(), "gatepost tls tlsa")
		return nil
	}
	for _, h := range all {
		if h.Counts {
			count = append(count, h.Host)
		}
		p.tell(Line{id, h.Verdict, h.Host, h.State, h.Do})
	}
	return count
}

// dane reports whether DANE protects mail to a domain: its MX are validated, and TLSA records of all of them count.
func dane(mx Answer, count []string) bool {
	return mx.AD && len(mx.Hosts) > 0 && !slices.ContainsFunc(mx.Hosts, func(h Host) bool {
		return !slices.ContainsFunc(count, func(c string) bool { return same(c, h.Name) })
	})
}
