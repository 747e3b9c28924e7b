package api

// RouteAsk says what is tried: the route of a domain, a route by its name, or a server.
type RouteAsk struct {
	Domain     string `json:"domain,omitempty" doc:"A domain that is served: the way of its mail is tried. Beside route or host it is the domain whose postmaster is asked about"`
	Route      string `json:"route,omitempty" doc:"A route, by its name"`
	Draft      bool   `json:"draft,omitempty" doc:"By your draft of the policy, in place of what is in force"`
	Host       string `json:"host,omitempty" doc:"A server that is in no route yet: a name, an address, mx:DOMAIN, srv:NAME, or unix:PATH for LMTP"`
	Port       int    `json:"port,omitempty" default:"25" min:"1" max:"65535" doc:"The port of host"`
	Protocol   string `json:"protocol,omitempty" enum:"smtp|lmtp" doc:"How host is spoken to; nothing: smtp"`
	TLS        string `json:"tls,omitempty" enum:"none|opportunistic|required|fingerprint|dane|dane-only" doc:"What host must show, as tls of a route; nothing: opportunistic"`
	ServerName string `json:"server_name,omitempty" doc:"The name that the certificate of host must have; nothing: host"`
	Pins       string `json:"fingerprints,omitempty" doc:"Beside tls = fingerprint: the SHA-256 of certificates of host, with commas between"`
	Recipient  string `json:"recipient,omitempty" doc:"An address that the next hop must know; nothing: postmaster of the domain"`
}

// The words of a verdict about a step, a next hop or all of a route.
const (
	RouteOK   = "ok"
	RouteWarn = "warn" // mail goes on, and somebody should know
	RouteFail = "fail" // mail does not go on
)

// RouteTested is what came of a try.
type RouteTested struct {
	Route     string        `json:"route,omitempty"`
	Domain    string        `json:"domain,omitempty"`
	Recipient string        `json:"recipient,omitempty"` // that was asked about
	Verdict   string        `json:"verdict"`             // ok: by some next hop mail goes on
	Hops      []RouteTryHop `json:"next_hops"`
	Took      float64       `json:"ms"`
}

// RouteTryHop is what came of it at one next hop.
type RouteTryHop struct {
	NextHop string         `json:"next_hop"`
	Verdict string         `json:"verdict"`
	Steps   []RouteTryStep `json:"steps"`
}

// RouteTryStep is one step on the way to it.
type RouteTryStep struct {
	Step    string   `json:"step"` // find, policy, connect, banner, ehlo, tls, certificate, login, size, takes, refuses
	Verdict string   `json:"verdict"`
	Said    string   `json:"said"`
	Fault   string   `json:"fault,omitempty"` // what is wrong, in a word that stays
	Cause   string   `json:"cause,omitempty"` // the same for people
	Fix     []string `json:"fix,omitempty"`   // what to do, a line each
	Took    float64  `json:"ms"`
}

// RecordsAsk names a domain whose records in DNS are told.
type RecordsAsk struct {
	Domain string `json:"domain" required:"true" doc:"The domain; it need not be served yet"`
}

// DomainRecords are the records of a domain whose mail comes in here, to paste into its zone.
type DomainRecords struct {
	Domain  string      `json:"domain"`
	Host    string      `json:"host"` // this gateway
	Records []DNSRecord `json:"records"`
}

// DNSRecord is one of them.
type DNSRecord struct {
	Kind   string   `json:"kind"`   // MX, TXT, A, AAAA, TLSA
	About  string   `json:"about"`  // MX, address, SPF, DMARC, TLS reports, MTA-STS, TLSA
	Line   string   `json:"line"`   // as zone files have it
	Why    string   `json:"why"`    // what it is for
	Needed bool     `json:"needed"` // without it no mail comes in
	State  string   `json:"state"`  // published; other: something else is, see found; missing; unknown: DNS does not tell, or it is not looked for
	Found  []string `json:"found,omitempty"`
}
