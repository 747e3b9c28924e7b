package config

import (
	"net/netip"
	"strconv"
	"time"
)

// Route is a way to the internal mail server.
type Route struct {
	Name         string    `toml:"name" format:"word" required:"true" example:"internal" doc:"The name that domains use."`
	NextHops     []NextHop `toml:"next_hop" doc:"The servers of the route; the lowest order that answers gets the mail."`
	TLS          RouteTLS  `toml:"tls" enum:"none,opportunistic,required,fingerprint" default:"opportunistic" rfc:"RFC 3207" doc:"none: never; opportunistic: where it is offered, unverified; required: verified by name, else the mail is deferred; fingerprint: the certificate must be one of fingerprints."`
	Fingerprints []string  `toml:"fingerprints" format:"fingerprint" doc:"SHA-256 of the certificates that tls = fingerprint takes. Name the next one before a change."`
	CAFile       string    `toml:"ca_file" format:"path" example:"/etc/gatepost/internal-ca.pem" doc:"The authorities in PEM that tls = required believes. Not set: those of the system."`
	ServerName   string    `toml:"server_name" format:"hostname" example:"mail.example.org" rfc:"RFC 6125" doc:"The name that the certificate must have. Not set: the next hop's host."`
	Recipients   string    `toml:"recipients" enum:"call-ahead,none" default:"call-ahead" doc:"How recipients are checked. call-ahead: the next hop is asked at RCPT, and answers are remembered; none: every recipient is taken for good."`
	Pool         int       `toml:"pool" unit:"connections" default:"10" min:"1" max:"1000" doc:"Connections to each next hop at the same time."`
	Queue        int       `toml:"queue" unit:"messages" default:"500" min:"1" max:"10000" doc:"Messages that may wait for a connection to each next hop, at most 30 seconds each. While as many wait, more are deferred at RCPT (451 4.4.5), before their body is taken."`
	WhenDown     WhenDown  `toml:"when_down" enum:"defer,spool" default:"defer" doc:"What becomes of mail while no next hop of the route can be reached. defer: the sender gets 451 and keeps it; nothing can be lost here. spool: mail that passed every check, for verified recipients, is written to the spool of this host and answered with 250. It then lies on one disk, and is lost if that disk is lost before the next hop is back."`
	Timeouts     Timeouts  `toml:"timeouts" doc:"How long the next hop may take."`
}

// RouteTLS is how the next hop is spoken to.
type RouteTLS string

// The values of the key tls of a route.
const (
	TLSNone          RouteTLS = "none"
	TLSOpportunistic RouteTLS = "opportunistic"
	TLSRequired      RouteTLS = "required"
	TLSFingerprint   RouteTLS = "fingerprint"
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
	Host   string `toml:"host" format:"host" required:"true" example:"mail.example.org" doc:"Its name or IP address."`
	Port   int    `toml:"port" default:"25" min:"1" max:"65535" doc:"Its port."`
	Order  int    `toml:"order" default:"10" min:"0" max:"65535" rfc:"RFC 2782" doc:"Lower is asked first."`
	Weight int    `toml:"weight" default:"1" min:"1" max:"65535" rfc:"RFC 2782" doc:"The share of the mail among hops of the same order."`
}

// Validate checks that a route leads somewhere and that what its tls mode needs is there.
func (r *Route) Validate(report func(key, message, instead string)) {
	if len(r.NextHops) == 0 {
		report("next_hop", "the route has none", "write [[route.next_hop]] with host and port below it")
	}
	hops := map[NextHop]bool{}
	for i, h := range r.NextHops {
		same := NextHop{Host: h.Host, Port: h.Port}
		if h.Host != "" && hops[same] {
			report("next_hop["+strconv.Itoa(i)+"].host", shown(h.Host)+" with this port is in the route twice", "remove one of them")
		}
		hops[same] = true
		if _, err := netip.ParseAddr(h.Host); err == nil && r.TLS == TLSRequired && r.ServerName == "" {
			report("tls", `"required" verifies a name, but next hop `+h.Host+" has only an address", "write server_name, or the next hop's name as its host")
		}
	}
	r.spoolsVerified(report)
	if r.TLS == TLSFingerprint && len(r.Fingerprints) == 0 {
		report("fingerprints", `tls = "fingerprint" needs at least one`, "write the SHA-256 of the next hop's certificate")
	}
	if r.TLS != TLSFingerprint && len(r.Fingerprints) > 0 {
		report("fingerprints", "would not be looked at", `write tls = "fingerprint", or remove them`)
	}
	if r.TLS != TLSRequired && r.CAFile != "" {
		report("ca_file", "would not be looked at", `write tls = "required", or remove it`)
	}
	if r.TLS != TLSRequired && r.ServerName != "" {
		report("server_name", "would not be looked at", `write tls = "required", or remove it`)
	}
}
