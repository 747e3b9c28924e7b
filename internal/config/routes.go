package config

import "time"

// Route is a way to the internal mail server.
type Route struct {
	Name         string    `toml:"name" format:"word" required:"true" example:"internal" doc:"The name that domains use."`
	Kind         RouteKind `toml:"kind" enum:"relay,report" default:"relay" rfc:"RFC 7489 section 7.2, RFC 8460 section 5" doc:"relay: to the next hops. report: the mail ends here; what it holds is read as a DMARC aggregate report or a report about TLS that others send about your domains (docs/reports.md), and kept. Such a route has no next hop: name it in [[recipient]], for the address of rua."`
	NextHops     []NextHop `toml:"next_hop" doc:"The servers of the route; the lowest order that answers gets the mail."`
	Protocol     Protocol  `toml:"protocol" enum:"smtp,lmtp" default:"smtp" rfc:"RFC 2033" doc:"How the next hops are spoken to. lmtp is for mail stores (Dovecot, Cyrus): they answer for each recipient after the message, and one with a full mailbox does not keep the others from getting it."`
	TLS          RouteTLS  `toml:"tls" enum:"none,opportunistic,required,fingerprint,dane,dane-only" default:"opportunistic" rfc:"RFC 3207, RFC 7672" doc:"none: never; opportunistic: where it is offered, unverified; required: verified by name, else the mail is deferred; fingerprint: the certificate must be one of fingerprints; dane: as the TLSA records of the next hop say, which must be signed by DNSSEC, else the mail is deferred; without such records, opportunistic; dane-only: without such records the mail is deferred."`
	Fingerprints []string  `toml:"fingerprints" format:"fingerprint" doc:"SHA-256 of the certificates that tls = fingerprint takes. Name the next one before a change."`
	MTASTS       bool      `toml:"mta_sts" default:"true" rfc:"RFC 8461" doc:"For next hops that are found by mx, with tls = opportunistic or dane: whether the MTA-STS policy of that domain counts. Under its mode enforce mail goes only to hosts that it names, encrypted and verified by name, else it is deferred. TLSA records come first."`
	CAFile       string    `toml:"ca_file" format:"path" example:"/etc/gatepost/internal-ca.pem" doc:"The authorities in PEM that tls = required believes. Not set: those of the system."`
	ServerName   string    `toml:"server_name" format:"hostname" example:"mail.example.org" rfc:"RFC 6125" doc:"The name that the certificate must have. Not set: the next hop's host."`
	ClientCert   string    `toml:"client_certificate" format:"path" example:"/etc/gatepost/client.pem" rfc:"RFC 5246 section 7.4.6" doc:"A certificate in PEM, with its chain, that is shown to a next hop that asks for one."`
	ClientKey    string    `toml:"client_key" format:"path" example:"/etc/gatepost/client.key" doc:"The private key of client_certificate, in PEM."`
	Auth         Auth      `toml:"auth" doc:"Who the gateway is to a smarthost that takes mail only from those it knows. Needs tls = required, fingerprint or dane-only."`
	Forward      string    `toml:"forward" enum:"none,xforward,xclient" default:"none" doc:"How next hops are told whom a message came from, where they offer it (Postfix does, to hosts in smtpd_authorized_xforward_hosts or smtpd_authorized_xclient_hosts). xforward: for their log only; xclient: they take the session for one of that client, and their own rules for clients apply to it; Postfix then wants a connection for each message. Use it only towards servers of your own."`
	RouteRecipients
	Pool     int      `toml:"pool" unit:"connections" default:"10" min:"1" max:"1000" doc:"Connections to each next hop at the same time."`
	Queue    int      `toml:"queue" unit:"messages" default:"500" min:"1" max:"10000" doc:"Messages that may wait for a connection to each next hop, at most 30 seconds each. While as many wait, more are deferred at RCPT (451 4.4.5), before their body is taken."`
	Rate     RatePer  `toml:"rate" example:"100/1m" doc:"How many messages each next hop is handed in how much time, spread evenly, a tenth of them at once at most. More wait, at most 30 seconds each, or are deferred at RCPT (451 4.4.5). none or not set: no limit."`
	WhenDown WhenDown `toml:"when_down" enum:"defer,spool" default:"defer" doc:"What becomes of mail while no next hop of the route can be reached. defer: the sender gets 451 and keeps it; nothing can be lost here. spool: mail that passed every check, for verified recipients, is written to the spool of this host and answered with 250. It then lies on one disk, and is lost if that disk is lost before the next hop is back."`
	Timeouts Timeouts `toml:"timeouts" doc:"How long the next hop may take."`
}

// RouteKind is what becomes of the mail of a route.
type RouteKind string

// The values of the key kind of a route.
const (
	RouteRelay  RouteKind = "relay"
	RouteReport RouteKind = "report"
)

// Auth is who we are to a smarthost.
type Auth struct {
	User         string `toml:"user" max:"1000" example:"gateway@example.org" rfc:"RFC 4954" doc:"The name that the smarthost knows."`
	PasswordFile string `toml:"password_file" format:"path" example:"/etc/gatepost/smarthost.password" doc:"A file whose first line is the password. Only the user of the daemon should be able to read it."`
	Mechanism    string `toml:"mechanism" enum:"auto,scram-sha-256,plain,login" default:"auto" rfc:"RFC 4422" doc:"How the password is proven. auto: by SCRAM-SHA-256 where it is offered, else PLAIN, else LOGIN; all of them under verified TLS only."`
}

// Used reports whether there is anybody to be.
func (a *Auth) Used() bool { return a.User != "" || a.PasswordFile != "" }

// Protocol is what is spoken with the next hops.
type Protocol string

// The values of the key protocol of a route.
const (
	ProtocolSMTP Protocol = "smtp"
	ProtocolLMTP Protocol = "lmtp"
)

// RouteTLS is how the next hop is spoken to.
type RouteTLS string

// The values of the key tls of a route.
const (
	TLSNone          RouteTLS = "none"
	TLSOpportunistic RouteTLS = "opportunistic"
	TLSRequired      RouteTLS = "required"
	TLSFingerprint   RouteTLS = "fingerprint"
	TLSDANE          RouteTLS = "dane"
	TLSDANEOnly      RouteTLS = "dane-only"
)

// Timeouts bound each stage of a relay.
type Timeouts struct {
	Connect time.Duration `toml:"connect" default:"10s" min:"1s" max:"5m" doc:"For the connection."`
	Command time.Duration `toml:"command" default:"60s" min:"1s" max:"10m" rfc:"RFC 5321 section 4.5.3.2" doc:"For the greeting, the TLS handshake and the reply to each command."`
	Data    time.Duration `toml:"data" default:"180s" min:"10s" max:"30m" rfc:"RFC 5321 section 4.5.3.2.5" doc:"For each piece of a message to be taken."`
	Final   time.Duration `toml:"final" default:"300s" min:"10s" max:"30m" rfc:"RFC 5321 section 4.5.3.2.6" doc:"For the reply after the last octet. Without it the outcome is unknown and the sender gets 451."`
}

// NextHop is one server of a route.
type NextHop struct {
	Host   string `toml:"host" format:"next-hop" required:"true" unless:"mx,srv" example:"mail.example.org" doc:"Its name or IP address; with protocol = lmtp also a socket of this host, as unix:/run/dovecot/lmtp."`
	MX     string `toml:"mx" format:"domain" example:"example.net" rfc:"RFC 5321 section 5.1" doc:"In place of host: a domain whose mail hosts are asked of DNS, again and again. They keep their preferences below order; while DNS fails, those found last are used."`
	SRV    string `toml:"srv" format:"service" example:"_smtp._tcp.example.net" rfc:"RFC 2782" doc:"In place of host: a service whose servers, ports and weights are asked of DNS, likewise."`
	Port   int    `toml:"port" default:"25" min:"1" max:"65535" doc:"Its port; that of every host of mx; of no account with srv."`
	Order  int    `toml:"order" default:"10" min:"0" max:"65535" rfc:"RFC 2782" doc:"Lower is asked first."`
	Weight int    `toml:"weight" default:"1" min:"1" max:"65535" rfc:"RFC 2782" doc:"The share of the mail among hops of the same order."`
}
