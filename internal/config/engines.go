package config

import (
	"net/netip"
	"time"
)

// Rspamd names the rspamd daemons.
type Rspamd struct {
	Addresses      []string       `toml:"addresses" format:"address" example:"127.0.0.1:11333" doc:"The normal workers of rspamd, as unix:/path or address:port. One that does not answer is left out until it does. Empty: there is no rspamd, and the check rspamd is off."`
	Networks       []netip.Prefix `toml:"networks" default:"127.0.0.0/8, ::1/128" doc:"Where an rspamd over TCP may be: what is told there is neither encrypted nor authenticated, so only loopback and private networks named here."`
	Timeout        time.Duration  `toml:"timeout" default:"30s" min:"1s" max:"5m" doc:"How long one scan may take, waiting for a connection included."`
	MaxSize        Size           `toml:"max_size" default:"512K" min:"16K" max:"64M" doc:"How much of a message rspamd gets: of a bigger one only the beginning."`
	MaxConnections int            `toml:"max_connections" default:"10" min:"1" max:"1000" doc:"Scans at the same time on each daemon."`
}

// Validate keeps scanner traffic in private networks.
func (r *Rspamd) Validate(report func(key, message, instead string)) {
	privateOnly(r.Addresses, r.Networks, report)
}
