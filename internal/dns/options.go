package dns

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	wire "github.com/miekg/dns"
)

// maxServers bounds how many servers are used of those in resolv.conf.
const maxServers = 8

// Trust says whose AD bit counts (RFC 6840 section 5.7): the bit is worth as
// much as the server and the path it came over.
type Trust int

const (
	// TrustLoopback trusts servers at a loopback address; the default.
	TrustLoopback Trust = iota
	// TrustAll trusts every server: the operator vouches for the path to it.
	TrustAll
	// TrustNone never reports a validated answer.
	TrustNone
)

// Options says how a Resolver works; the zero value is the default.
type Options struct {
	// Servers is the name servers in the order of preference, each an IP
	// address with or without a port. Empty: those of ResolvConf, read by New.
	Servers []string
	// ResolvConf is the file read when Servers is empty: /etc/resolv.conf.
	ResolvConf string
	// Timeout is for one try at one server, TCP included: 2 s.
	Timeout time.Duration
	// Attempts is how often each server is tried in one lookup: 2.
	Attempts int
	// Deadline is for one lookup with all its tries: 5 s.
	Deadline time.Duration
	// Concurrency bounds the lookups that are under way at a time, and with
	// them the sockets: 1024. More wait, and fail at their deadline.
	Concurrency int
	// CacheEntries and CacheOctets bound the cache: 60,000 and 32 MiB. Each
	// client brings an entry for each DNS list, which must not push out what
	// is known of those that write every day.
	CacheEntries int
	CacheOctets  int
	// TrustAD says whose AD bit counts.
	TrustAD Trust
	// Logger gets a warning when a server stops answering. None: silence.
	Logger *slog.Logger
}

// complete fills in the defaults and makes the list of servers.
func (o Options) complete() (Options, []*server, error) {
	for _, n := range []int64{int64(o.Timeout), int64(o.Deadline), int64(o.Attempts),
		int64(o.Concurrency), int64(o.CacheEntries), int64(o.CacheOctets)} {
		if n < 0 {
			return o, nil, errors.New("a limit is negative")
		}
	}
	orDefault(&o.Timeout, 2*time.Second)
	orDefault(&o.Deadline, 5*time.Second)
	orDefault(&o.Attempts, 2)
	orDefault(&o.Concurrency, 1024)
	orDefault(&o.CacheEntries, 60_000)
	orDefault(&o.CacheOctets, 32<<20)
	orDefault(&o.ResolvConf, "/etc/resolv.conf")
	if o.Logger == nil {
		o.Logger = discard()
	}
	names := o.Servers
	if len(names) == 0 {
		conf, err := wire.ClientConfigFromFile(o.ResolvConf)
		if err != nil {
			return o, nil, fmt.Errorf("read %s: %w", o.ResolvConf, err)
		}
		names = conf.Servers[:min(len(conf.Servers), maxServers)]
		if len(names) == 0 {
			return o, nil, fmt.Errorf("%s names no name server", o.ResolvConf)
		}
	}
	var servers []*server
	for _, name := range names {
		addr, err := parseServer(name)
		if err != nil {
			return o, nil, err
		}
		trusted := o.TrustAD == TrustAll || o.TrustAD == TrustLoopback && addr.Addr().Unmap().IsLoopback()
		servers = append(servers, &server{addr: addr.String(), trusted: trusted})
	}
	return o, servers, nil
}

// parseServer reads an IP address with or without a port.
func parseServer(s string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(addr, 53), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return ap, fmt.Errorf("server %q: not an IP address with or without a port", s)
	}
	return ap, nil
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
