package received

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dmarcreport"
	"gatepost/internal/mime"
	"gatepost/internal/unpack"
	documents "gatepost/internal/unpack/received"
	"gatepost/tls/tlsrpt"
)

// Taker takes reports.
type Taker struct {
	Opener Opener
	Store  Store
	Serves func(domain string) bool // whether a domain, an A-label in lower case, is served here
	Log    *slog.Logger
}

// MaxMessage is how large a message with a report may be, in octets. Reports of the largest receivers have some MiB, packed.
const MaxMessage = 25 << 20

// maxPieces is how many parts of a message are looked into.
const maxPieces = 20

// What whoever sends something else is told; a refusal of one report must help its sender to mend it.
var (
	noReport  = gateway.Reply{Code: 550, Enhanced: "5.6.0", Text: "No DMARC aggregate report and no TLS report was found in this message, and this address takes nothing else"}
	tooBig    = gateway.Reply{Code: 552, Enhanced: "5.3.4", Text: fmt.Sprintf("Report too big: at most %d octets are taken here", MaxMessage)}
	notServed = "The report is about %s, which is not served here; look at the rua address in the record of that domain"
	unread    = "The report cannot be read (%s); it must be as RFC 9990 or RFC 8460 has it, plain or packed with gzip or zip"
	later     = gateway.Reply{Code: 451, Enhanced: "4.3.0", Text: "The report cannot be read right now; send it again later"}
)

// Take takes one message, as a next hop would: Delivered once its reports are on disk.
func (t *Taker) Take(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	began := time.Now()
	r := t.take(ctx, d)
	r.Took, r.NextHop, r.At = time.Since(began), "reports", gateway.AtDot
	return r
}

func (t *Taker) take(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	if d.Content.Size > MaxMessage {
		return refused(tooBig)
	}
	body, err := io.ReadAll(io.LimitReader(io.MultiReader(d.Content.Parts...), MaxMessage+1))
	if err != nil || len(body) > MaxMessage {
		return t.later("read", d, err)
	}
	found, why, err := t.read(ctx, body)
	if err != nil {
		return t.later("open", d, err)
	}
	now := time.Now().UTC()
	var ours []Report
	for _, r := range found {
		if !t.Serves(r.Domain) {
			why = gateway.Reply{Code: 550, Enhanced: "5.7.1", Text: fmt.Sprintf(notServed, gateway.CleanText(r.Domain, 253))}
			continue
		}
		r.Received, r.From, r.Reference = now, d.From.Text, d.ID.String()
		ours = append(ours, r)
	}
	if len(ours) == 0 {
		return refused(why)
	}
	if err := t.Store.Keep(ctx, ours); err != nil {
		return t.later("keep", d, err)
	}
	return gateway.Relayed{Result: gateway.Delivered, Said: fmt.Sprintf("%d reports were kept", len(ours))}
}

func refused(why gateway.Reply) gateway.Relayed {
	return gateway.Relayed{Result: gateway.RefusedByHop, Reply: why, Said: why.Text}
}

// later has the sender come again, for a fault of ours.
func (t *Taker) later(what string, d *gateway.Delivery, err error) gateway.Relayed {
	if t.Log != nil {
		t.Log.Error("report: "+what, "id", d.ID.String(), "error", err)
	}
	return gateway.Relayed{Result: gateway.DeferredByHop, Reply: later, Said: gateway.CleanText(fmt.Sprint(err), 200)}
}

// read finds the reports in a message; why is what is answered where there is none. An error is a fault of ours.
func (t *Taker) read(ctx context.Context, body []byte) (found []Report, why gateway.Reply, err error) {
	tree, err := mime.Walk(mime.Bytes(body), mime.DefaultLimits())
	if err != nil {
		return nil, why, err
	}
	pieces := pieces(tree)
	if len(pieces) == 0 {
		return nil, noReport, nil
	}
	out, err := t.Opener.Unpack(ctx, pieces)
	var failure *unpack.Failure
	switch {
	case errors.As(err, &failure) && !failure.Ours():
		return nil, gateway.Reply{Code: 554, Enhanced: "5.6.0", Text: fmt.Sprintf(unread, "it makes its reader fail")}, nil
	case err != nil:
		return nil, why, err
	}
	why = noReport
	if out.Limit != "" {
		why = gateway.Reply{Code: 554, Enhanced: "5.6.0", Text: fmt.Sprintf(unread, "it unpacks to too much")}
	}
	for i := range out.Objects {
		o := &out.Objects[i]
		for _, s := range o.Signs {
			if s.Kind == unpack.Broken && why == noReport {
				why = gateway.Reply{Code: 550, Enhanced: "5.6.0", Text: fmt.Sprintf(unread, gateway.CleanText(s.Text, 120))}
			}
		}
		found = append(found, reports(o)...)
	}
	return found, why, nil
}

// pieces are the parts that may hold a report: all leaves but plain text and HTML, which tell people what is attached.
func pieces(tree *mime.Tree) (out []unpack.Piece) {
	for i := range tree.Parts {
		p := &tree.Parts[i]
		if !p.Leaf || p.Octets == 0 || len(out) == maxPieces {
			continue
		}
		text := strings.HasPrefix(p.Type, "text/") && p.Type != "text/xml" && p.Type != "text/json"
		if text && p.Name() == "" {
			continue
		}
		out = append(out, unpack.Piece{Item: unpack.Item{Part: i, Name: p.Name(), Type: p.Type, Size: p.Octets}, Content: tree.Open(i)})
	}
	return out
}

// reports reads what the process handed back. It is looked at anew: the process may be in a stranger's hand.
func reports(o *unpack.Object) []Report {
	switch {
	case len(o.Data) == 0:
	case o.Format == documents.DMARC:
		if r, ok := aggregate(o.Data); ok {
			return []Report{r}
		}
	case o.Format == documents.TLS:
		return aboutTLS(o.Data)
	}
	return nil
}

func aggregate(data json.RawMessage) (Report, bool) {
	var f dmarcreport.Feedback
	if json.Unmarshal(data, &f) != nil || f.Policy.Domain == "" || len(f.Records) == 0 {
		return Report{}, false
	}
	r := Report{Kind: DMARC, Domain: f.Policy.Domain, Org: gateway.CleanText(f.Org, 200), ID: gateway.CleanText(f.ID, 200), Begin: f.Begin, End: f.End, Body: data}
	for i := range f.Records {
		if l := &f.Records[i]; l.DKIM || l.SPF {
			r.Good += l.Count
		} else {
			r.Bad += l.Count
		}
	}
	return r, true
}

// aboutTLS makes one of each domain that a report about TLS is about.
func aboutTLS(data json.RawMessage) (out []Report) {
	var f tlsrpt.Report
	if json.Unmarshal(data, &f) != nil {
		return nil
	}
	for i := range f.Policies {
		p := &f.Policies[i]
		if p.Policy.Domain == "" {
			continue
		}
		at := slices.IndexFunc(out, func(r Report) bool { return r.Domain == p.Policy.Domain })
		if at < 0 {
			at = len(out)
			out = append(out, Report{Kind: TLS, Domain: p.Policy.Domain, Org: gateway.CleanText(f.Organization, 200), ID: gateway.CleanText(f.ID, 200),
				Begin: f.Range.Start, End: f.Range.End, Body: bytes.Clone(data)})
		}
		out[at].Good += p.Summary.Successful
		out[at].Bad += p.Summary.Failed
	}
	return out
}
