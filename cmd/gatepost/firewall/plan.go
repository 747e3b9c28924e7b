// Package firewall says what of the network the documents name, and has nftables hold to it: gatepost appliance firewall. The leaf
// appliance/firewall words it.
package firewall

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"gatepost/appliance/firewall"
	"gatepost/internal/config"
)

// Users of the image's services, as their packages name them.
const (
	ours      = "gatepost"
	resolver  = "unbound"
	clock     = "_chrony"
	databases = "clamav"
	rulesUser = "debian-spamd"
)

// plan collects what the documents name.
type plan struct{ firewall.Plan }

// Of makes the plan of documents. resolvers are those of /etc/resolv.conf, in place of none in gatepost.toml.
func Of(c *config.Config, resolvers []netip.Addr) *firewall.Plan {
	p := new(plan)
	p.incoming(c.Bootstrap)
	p.services()
	p.nearby(c.Bootstrap, resolvers)
	p.shared(c.Bootstrap)
	p.mail(c.Policy)
	p.notices(c)
	return &p.Plan
}

// Bare is the plan where the documents cannot be used: the console from private networks, so that they can be mended, and what keeps
// the other services going.
func Bare() *firewall.Plan {
	p := new(plan)
	b := new(config.Bootstrap)
	b.Web.Console = netip.AddrPortFrom(netip.IPv4Unspecified(), 8443)
	for _, n := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"} {
		b.Web.ConsoleNetworks = append(b.Web.ConsoleNetworks, netip.MustParsePrefix(n))
	}
	p.incoming(b)
	p.services()
	return &p.Plan
}

// incoming is what others may connect to.
func (p *plan) incoming(b *config.Bootstrap) {
	for _, l := range b.Listeners {
		for _, at := range l.Addresses {
			p.in("mail, listener "+l.Name, at, l.ProxyFrom)
		}
	}
	p.in("console", b.Web.Console, b.Web.ConsoleNetworks)
	for _, at := range b.Web.SSH {
		p.in("SSH", at, b.Web.SSHNetworks)
	}
	p.in("metrics", b.Web.Metrics, nil)
	for why, list := range map[string][]netip.AddrPort{"public pages over HTTP (ACME)": b.Web.PublicHTTP, "public pages over HTTPS (MTA-STS, ACME)": b.Web.PublicHTTPS, "portal": b.Web.Portal} {
		for _, at := range list {
			p.in(why, at, nil)
		}
	}
}

// services is what the services beside ours ask of strangers, each by its user.
func (p *plan) services() {
	for _, protocol := range []string{firewall.UDP, firewall.TCP} {
		p.Out = append(p.Out, firewall.Entry{Why: "DNS", User: resolver, Protocol: protocol, Port: 53})
	}
	p.Out = append(p.Out, firewall.Entry{Why: "NTP", User: clock, Protocol: firewall.UDP, Port: 123},
		firewall.Entry{Why: "NTS", User: clock, Protocol: firewall.TCP, Port: 4460})
	for _, port := range []uint16{80, 443} {
		p.Out = append(p.Out, firewall.Entry{Why: "freshclam", User: databases, Protocol: firewall.TCP, Port: port},
			firewall.Entry{Why: "sa-update", User: rulesUser, Protocol: firewall.TCP, Port: port})
	}
	p.Out = append(p.Out, firewall.Entry{Why: "MTA-STS, ACME, reports about TLS", User: ours, Protocol: firewall.TCP, Port: 443},
		firewall.Entry{Why: "mail", User: ours, Protocol: firewall.TCP, Port: 25})
}

// nearby is what mail is looked at by, and who resolves names.
func (p *plan) nearby(b *config.Bootstrap, resolvers []netip.Addr) {
	servers := b.DNS.Servers
	if len(servers) == 0 {
		for _, a := range resolvers {
			servers = append(servers, netip.AddrPortFrom(a, 53).String())
		}
	}
	for _, s := range servers {
		for _, protocol := range []string{firewall.UDP, firewall.TCP} {
			p.out("resolver", "", protocol, s)
		}
	}
	for why, list := range map[string][]string{"clamd": b.ClamAV.Addresses, "spamd": b.SpamAssassin.Addresses, "rspamd": append(b.Rspamd.Addresses[:len(b.Rspamd.Addresses):len(b.Rspamd.Addresses)], b.Rspamd.Controller), "ICAP": b.ICAP.Addresses} {
		p.outAll(why, list)
	}
	for _, e := range b.ClamAV.Engines {
		p.outAll("clamd "+e.Name, e.Addresses)
	}
	for _, m := range b.Milters {
		p.outAll("milter "+m.Name, m.Addresses)
	}
	for _, h := range b.Hooks {
		p.outURL("hook "+h.Name, h.URL)
	}
}

// shared is where state, people and certificates are.
func (p *plan) shared(b *config.Bootstrap) {
	p.outAll("Redis", b.Redis.Addresses)
	if b.Redis.Master != "" || b.Redis.Cluster { // they name others, at ports that only they know
		p.Out = append(p.Out, firewall.Entry{Why: "Redis that Sentinels or a Cluster name", User: ours, Protocol: firewall.TCP, Port: 6379})
	}
	p.outAll("PostgreSQL", b.Store.Servers())
	p.outURLs("login", b.Login.LDAP.Servers)
	p.outURL("OpenID Connect", b.Login.OIDC.Issuer)
	if len(b.TLS.ACME) > 0 {
		p.outURL("ACME", b.ACME.Directory)
		if b.ACME.DNSServer != "" {
			p.out("ACME, updates of DNS (RFC 2136)", ours, firewall.TCP, b.ACME.DNSServer)
			p.out("ACME, updates of DNS (RFC 2136)", ours, firewall.UDP, b.ACME.DNSServer)
		}
	}
	for i := range b.Backup.Targets {
		p.outURL("backups to "+b.Backup.Targets[i].Name, b.Backup.Targets[i].URL())
	}
	p.outSyslog("journal to syslog", b.Log.Syslog)
	p.outSyslog("journal of the machine to syslog", b.Log.Machine)
}

// mail is where mail goes, and who knows recipients.
func (p *plan) mail(policy *config.Policy) {
	if len(policy.Routes) == 0 { // the first run tries the servers that somebody types
		p.Out = append(p.Out, firewall.Entry{Why: "no route yet: servers are tried", User: ours, Protocol: firewall.TCP})
	}
	for i := range policy.Routes {
		r := &policy.Routes[i]
		for _, n := range r.NextHops {
			switch {
			case n.SRV != "": // whose ports DNS tells
				p.Out = append(p.Out, firewall.Entry{Why: "route " + r.Name + ", by SRV", User: ours, Protocol: firewall.TCP})
			case n.MX != "":
				p.Out = append(p.Out, firewall.Entry{Why: "route " + r.Name + ", by MX", User: ours, Protocol: firewall.TCP, Port: uint16(n.Port)})
			case !strings.HasPrefix(n.Host, "unix:"):
				p.out("route "+r.Name, ours, firewall.TCP, net.JoinHostPort(n.Host, strconv.Itoa(n.Port)))
			}
		}
	}
	for i := range policy.Directories {
		p.outURLs("directory "+policy.Directories[i].Name, policy.Directories[i].Servers)
	}
}

// notices is whom alarms and reports are sent to.
func (p *plan) notices(c *config.Config) {
	a := &c.Policy.Alarms
	if a.Mail.Smarthost != "" {
		p.out("alarms by mail", ours, firewall.TCP, net.JoinHostPort(a.Mail.Smarthost, strconv.Itoa(a.Mail.Port)))
	}
	p.outURL("alarms by webhook", a.Webhook.URL)
	p.outSyslog("alarms by syslog", a.Syslog.Server)
	for _, via := range []string{c.Policy.Reports.DMARC.Via, c.Policy.TLSReports.Via} {
		p.outAll("reports", []string{via}) // a route is no host:port
	}
}

// in lets peers in at an address that is not loopback.
func (p *plan) in(why string, at netip.AddrPort, peers []netip.Prefix) {
	if at.Port() != 0 && !at.Addr().IsLoopback() {
		p.In = append(p.In, firewall.Entry{Why: why, Protocol: firewall.TCP, Port: at.Port(), Networks: peers})
	}
}

// outAll lets the daemon reach addresses; paths of sockets are none.
func (p *plan) outAll(why string, addresses []string) {
	for _, a := range addresses {
		p.out(why, ours, firewall.TCP, a)
	}
}

// out lets a user reach a host:port. A name is any address.
func (p *plan) out(why, user, protocol, at string) {
	host, text, err := net.SplitHostPort(at)
	port, bad := strconv.ParseUint(text, 10, 16)
	if err != nil || bad != nil || port == 0 || strings.HasPrefix(at, "unix:") {
		return
	}
	e := firewall.Entry{Why: why, User: user, Protocol: protocol, Port: uint16(port)}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap().WithZone("")
		if ip.IsLoopback() {
			return
		}
		e.Networks = []netip.Prefix{netip.PrefixFrom(ip, ip.BitLen())}
	} else if host == "localhost" {
		return
	}
	p.Out = append(p.Out, e)
}

// outURL lets the daemon reach where a URL leads.
func (p *plan) outURL(why, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443", "sftp": "22", "ldap": "389", "ldaps": "636"}[u.Scheme])
	p.out(why, ours, firewall.TCP, net.JoinHostPort(u.Hostname(), port))
}

func (p *plan) outURLs(why string, all []string) {
	for _, text := range all {
		p.outURL(why, text)
	}
}

// outSyslog lets the daemon reach udp:host:port or tcp:host:port.
func (p *plan) outSyslog(why, server string) {
	if protocol, at, _ := strings.Cut(server, ":"); protocol == firewall.UDP || protocol == firewall.TCP {
		p.out(why, ours, protocol, at)
	}
}
