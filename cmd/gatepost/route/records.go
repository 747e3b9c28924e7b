package route

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/smtpwire"
)

// lookTime bounds what is asked of DNS about the records of a domain.
const lookTime = 10 * time.Second

// The states of a record.
const (
	recordPublished = "published"
	recordOther     = "other"
	recordMissing   = "missing"
	recordUnknown   = "unknown"
)

func recordsQuestion() control.Operation {
	return control.Operation{Name: "domain records", Method: http.MethodGet, Path: "/domain-records", Doc: "Tell the records in DNS that a domain needs whose mail comes in here", Right: access.PolicyRead}
}

// Zone is what is known of DNS, and of this host.
type Zone struct {
	Document func() *config.Config
	// Look asks DNS for what a name has: of MX the hosts, of TXT the texts, of A and AAAA the addresses. known: that there is nothing
	// counts as an answer.
	Look func(ctx context.Context, kind, name string) (found []string, known bool)
	// Addresses are those at which this host takes mail, as far as it can know them.
	Addresses func() []string
	// TLSA are lines of the keys that this host shows under a name.
	TLSA func(host string) []string
	// STS is the record of the MTA-STS policy that is served here for a domain; "" for none.
	STS func(c *config.Config, domain string) string
}

// Operations are those about records.
func (z *Zone) Operations() []control.Operation {
	return []control.Operation{control.Define(recordsQuestion(), z.records)}
}

func (z *Zone) records(ctx context.Context, in *api.RecordsAsk) (*api.DomainRecords, error) {
	domain, err := smtpwire.ParseDomain(in.Domain)
	if err != nil || strings.HasPrefix(domain, "[") {
		return nil, wrong("domain", fmt.Sprintf("%q is no domain", gateway.CleanText(in.Domain, 80)), "write it as example.org")
	}
	c := z.Document()
	host := strings.ToLower(c.Bootstrap.Hostname)
	out := &api.DomainRecords{Domain: domain, Host: host}
	add := func(kind, about, name, value, why string, needed bool) {
		out.Records = append(out.Records, api.DNSRecord{Kind: kind, About: about, Line: name + ". 3600 IN " + kind + " " + value, Why: why, Needed: needed, State: recordUnknown})
	}
	add("MX", "MX", domain, "10 "+host+".", "Mail of the domain comes to this gateway. Change it last: mail comes in as soon as others see it.", true)
	for _, a := range z.Addresses() {
		kind := "A"
		if strings.Contains(a, ":") {
			kind = "AAAA"
		}
		add(kind, "address", host, a, "The address of this gateway. Its provider publishes the name for the address (PTR).", true)
	}
	add("TXT", "SPF", domain, `"v=spf1 ip4:ADDRESS -all"`, "Which hosts send mail in the name of the domain: write their addresses. This gateway takes mail in, and is none of them unless it hands on your mail too.", false)
	add("TXT", "DMARC", "_dmarc."+domain, `"v=DMARC1; p=none; rua=mailto:postmaster@`+domain+`"`, "What becomes of mail that forges the domain. Begin with none, read the reports, then quarantine, then reject.", false)
	add("TXT", "TLS reports", "_smtp._tls."+domain, `"v=TLSRPTv1; rua=mailto:postmaster@`+domain+`"`, "Others report where encryption towards this gateway failed.", false)
	if text := z.STS(c, domain); text != "" {
		add("TXT", "MTA-STS", "_mta-sts."+domain, fmt.Sprintf("%q", text), "Senders encrypt mail to the domain, and verify this gateway.", false)
	}
	for _, line := range z.TLSA(host) {
		out.Records = append(out.Records, api.DNSRecord{Kind: "TLSA", About: "TLSA", Line: line, Why: "Senders verify the key of this gateway. It counts in a zone that is signed by DNSSEC, and must be there before the key is shown.", State: recordUnknown})
	}
	z.compare(ctx, out)
	return out, nil
}

// compare looks at what is published.
func (z *Zone) compare(ctx context.Context, d *api.DomainRecords) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var all sync.WaitGroup
	for i := range d.Records {
		r := &d.Records[i]
		if r.Kind == "TLSA" {
			continue // its page knows more of it
		}
		name, _, _ := strings.Cut(r.Line, ". 3600")
		all.Go(func() {
			found, known := z.Look(ctx, r.Kind, name)
			r.State, r.Found = state(r, found, known)
		})
	}
	all.Wait()
}

// state holds a record against what DNS has. Of texts only those count that begin as it does: a name has others too.
func state(r *api.DNSRecord, found []string, known bool) (state string, shown []string) {
	_, value, _ := strings.Cut(r.Line, " IN "+r.Kind+" ")
	value = strings.Trim(value, `"`)
	kind, _, _ := strings.Cut(value, " ")
	kind = strings.TrimSuffix(kind, ";")
	for _, f := range found {
		if r.Kind != "TXT" || strings.HasPrefix(strings.ToLower(f), strings.ToLower(kind)) {
			shown = append(shown, gateway.CleanText(f, 300))
		}
	}
	shown = shown[:min(len(shown), 8)]
	same := func(f string) bool { return f == value }
	if r.Kind == "MX" {
		_, host, _ := strings.Cut(value, " ")
		same = func(f string) bool {
			return strings.EqualFold(strings.TrimSuffix(f, "."), strings.TrimSuffix(host, "."))
		}
	}
	switch {
	case slices.ContainsFunc(shown, same), (r.About == "SPF" || r.About == "DMARC" || r.About == "TLS reports") && len(shown) == 1:
		return recordPublished, shown // what stands in these is the owner's to say
	case len(shown) > 0:
		return recordOther, shown
	case known:
		return recordMissing, nil
	}
	return recordUnknown, nil
}
