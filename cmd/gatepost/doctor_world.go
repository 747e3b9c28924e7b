package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/internal/doctor"
	"gatepost/tls/mtasts"
)

// doctorOptions are those of the command.
type doctorOptions struct {
	server, listener, config string
	domain                   string   // "" for all that are served
	others                   []string // names of other gateways of ours
}

// newWorld fills in what the doctor looks at. Its error is of an option.
func newWorld(c *config.Config, o doctorOptions) (*doctor.World, error) {
	settings := resolverOptions(c.Bootstrap, slog.New(slog.DiscardHandler))
	if o.server != "" {
		settings.Servers = []string{o.server}
	}
	resolver, err := dns.New(settings)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	servers, err := doctorServers(settings)
	if err != nil {
		return nil, err
	}
	b, err := behindOf(c, o.server)
	if err != nil {
		return nil, err
	}
	policy := makePolicy(c)
	plain := plainDNS{texts{resolver}}
	w := &doctor.World{Hostname: c.Bootstrap.Hostname, Others: o.others, Moving: len(c.Policy.Relays) > 0,
		DNS: doctorDNS{resolver}, Servers: servers, Probes: doctor.DefaultProbes(), Dial: (&net.Dialer{}).DialContext, Now: time.Now,
		Interfaces: interfaces(), CheckSPF: plain.checkSPF, CheckDMARC: plain.checkDMARC, GenericName: filters.GenericName,
		Validating: hopNeeds(c), MessageSize: int64(c.Policy.Limits.MessageSize), ListsNamed: len(c.Policy.RBL.Used()), Folders: folders(c.Bootstrap),
		Statfs: doctor.Statfs, Kernel: doctor.KernelClock, AskDaemon: b.daemon, AskLists: b.lists, AskHops: b.hops, AskServices: b.services, AskScanners: b.scanners,
		AskTLSA: b.tlsa, STSRecord: stsRecord, FetchSTS: fetchSTS(resolver), Proofs: proofs(c.Bootstrap),
		Listener: doctor.Listener{Named: o.listener, Find: b.listeners, Without: c.Policy.SMTP.Without},
		Serves:   func(name string) bool { return policy.Domain(name) != nil },
		At:       places{c, o.config}.at}
	if w.Domains, err = doctorDomains(c, o.domain); err != nil {
		return nil, err
	}
	return w, nil
}

// doctorDomains are the domains that are served, without patterns; only one of them, where that is asked.
func doctorDomains(c *config.Config, only string) (out []doctor.Domain, err error) {
	hosted := hostedPolicies(c)
	for i := range c.Policy.Domains {
		d := &c.Policy.Domains[i]
		if only != "" && d.Name != only || only == "" && strings.HasPrefix(d.Name, "*.") {
			continue
		}
		one := doctor.Domain{Name: d.Name}
		if p := hosted[d.Name]; p != nil {
			one.STS = mtasts.Record(p.ID)
		}
		out = append(out, one)
	}
	if only != "" && len(out) == 0 {
		if makePolicy(c).Domain(only) == nil {
			return nil, fmt.Errorf("--domain: %s is not served; write it as [[domain]] in policy.toml first", only)
		}
		out = append(out, doctor.Domain{Name: only}) // a name below one that is served
	}
	return out, nil
}

// interfaces are the addresses of this host.
func interfaces() (out []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, x := range all {
		if p, err := netip.ParsePrefix(x.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// places tells where keys stand, or could.
type places struct {
	c    *config.Config
	path string // as --config has it
}

// inBootstrap are the first words of keys of gatepost.toml.
func inBootstrap() []string {
	return []string{"hostname", "state_dir", "listener", "tls", "acme", "dns", "clamav", "spamassassin", "rspamd", "icap", "milter", "hook", "redis", "store", "log", "web", "control",
		"login", "sandbox", "shutdown", "body", "spool", "unpack"}
}

// at is "/etc/gatepost/gatepost.toml:12" for a key that is there or for the named table that it belongs in, else the file.
func (p places) at(key string) string {
	where, file, name := p.c.Where, p.c.PolicyPath, config.PolicyFile
	if word, _, _ := strings.Cut(key, "."); slices.Contains(inBootstrap(), word) {
		where, file, name = p.c.BootstrapAt, p.c.BootstrapPath, config.BootstrapFile
	}
	if file == "" {
		file = name
		if p.path != "" {
			file = filepath.Join(p.path, name)
		}
	}
	at, ok := where[key]
	if dot := strings.LastIndexByte(key, '.'); !ok && dot > 0 {
		at, ok = where[key[:dot]+".name"] // the table that it belongs in
	}
	if ok {
		return filepath.Join(filepath.Dir(file), at)
	}
	return file
}
