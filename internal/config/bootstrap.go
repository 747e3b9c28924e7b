package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BootstrapFile is the name of the bootstrap document.
const BootstrapFile = "gatepost.toml"

// maxSocketPath is the room in sun_path of Linux, without the closing NUL.
const maxSocketPath = 107

// Bootstrap is gatepost.toml: what the process needs to start. It is only a file; the console never changes it.
type Bootstrap struct {
	Hostname     string       `toml:"hostname" format:"hostname" example:"mx.example.org" rfc:"RFC 5321 section 2.3.5" doc:"The name this gateway greets with and writes into Received. Fully qualified; it should resolve to the address that senders connect to. Not set: the machine's name."`
	StateDir     string       `toml:"state_dir" format:"path" default:"/var/lib/gatepost" doc:"The folder of everything the gateway keeps. One process owns it; a lock says so."`
	VaultKey     string       `toml:"vault_key" format:"path" example:"/media/key/vault.key" doc:"The file with the keys of the quarantine, which is encrypted: without it nobody reads what is in it. Best on another disk than the state folder. Not set: keys/vault.key in the state folder. Made at the first start; keep a copy of it."`
	Listeners    []Listener   `toml:"listener" doc:"Where clients connect. Without any: one listener named smtp on port 25 of all addresses."`
	TLS          TLS          `toml:"tls" doc:"The certificates for STARTTLS and for the web listener public."`
	ACME         ACME         `toml:"acme" doc:"The authority that gives the certificates of [[tls.acme]], and by what it sees that names are ours."`
	DNS          DNS          `toml:"dns" doc:"Who resolves names."`
	ClamAV       ClamAV       `toml:"clamav" doc:"Where clamd listens. What its findings do is said in the policy."`
	SpamAssassin SpamAssassin `toml:"spamassassin" doc:"Where spamd listens. What its score does is said in the policy."`
	Rspamd       Rspamd       `toml:"rspamd" doc:"Where rspamd listens, beside SpamAssassin or in its place. What its score does is said in the policy."`
	ICAP         ICAP         `toml:"icap" rfc:"RFC 3507" doc:"Where a scanner listens that speaks ICAP. What its findings do is said in the policy."`
	Unpack       Unpack       `toml:"unpack" doc:"The process that looks into attachments: its limits. What its findings do is said in the policy."`
	Milters      []Milter     `toml:"milter" doc:"Mail filters of Sendmail's and Postfix's kind. What their words do is said in the policy."`
	Hooks        []Hook       `toml:"hook" doc:"Checks of the operator's own, over HTTP. What their words do is said in the policy."`
	Redis        Redis        `toml:"redis" doc:"What all nodes share: limits, the greylist and reputations. Mail goes on without it."`
	Store        Store        `toml:"store" doc:"Where control data is, versions of the policy, users, the audit log, alarms; and the message log. Not set: files of the state folder."`
	Log          Log          `toml:"log" doc:"The journal: one event for each connection and each message."`
	Web          Web          `toml:"web" doc:"The web listeners: for monitoring, and for what strangers may read."`
	Login        Login        `toml:"login" doc:"How people log in whom a directory or an issuer of OpenID Connect knows, besides the accounts of this gateway."`
	Control      Control      `toml:"control" doc:"The private socket through which the gatepost command asks the running daemon."`
	Sandbox      string       `toml:"sandbox" enum:"on,off" default:"on" doc:"Whether the daemon gives up, at its start, every file that it does not need (Landlock), and new privileges. A reload that names another file then needs a restart. Off is told as a warning."`
	Shutdown     Shutdown     `toml:"shutdown" doc:"How the daemon ends."`
	Body         Body         `toml:"body" doc:"The buffer of a message while it is received and scanned."`
	Backup       Backup       `toml:"backup" doc:"When this gateway makes backups of itself, for whom, and where they go (docs/backup.md)."`
	Spool        Spool        `toml:"spool" doc:"Where mail is kept while its route is down, for routes with when_down = spool in policy.toml. It lies on one disk: what was taken is lost if that disk is lost."`
}

// SandboxOff is the value of sandbox that switches it off.
const SandboxOff = "off"

// Listener is one named place where clients connect.
type Listener struct {
	Name      string           `toml:"name" format:"word" required:"true" example:"smtp" doc:"The listener's name in the log."`
	Addresses []netip.AddrPort `toml:"addresses" required:"true" example:"0.0.0.0:25, [::]:25" doc:"The addresses and ports to listen on."`
	ProxyFrom []netip.Prefix   `toml:"proxy_from" example:"10.0.0.8/32" rfc:"haproxy.org, proxy-protocol.txt" doc:"The proxies in front of this listener. Each connection must come from them and begin with a PROXY header, version 1 or 2, which names the client; any other is closed without a word. Empty: there are no proxies, and no header is taken."`
}

// TLS names the certificates.
type TLS struct {
	Certificate string    `toml:"certificate" format:"path" example:"/etc/gatepost/tls/fullchain.pem" doc:"The certificate and its chain in PEM. It is read again when it changes. Without any certificate: a self-signed one is made in the state folder at the first start."`
	Key         string    `toml:"key" format:"path" example:"/etc/gatepost/tls/key.pem" doc:"The private key of the certificate in PEM."`
	Files       []TLSFile `toml:"file" doc:"More certificates, for other names or with a key of another kind (ECDSA and RSA). A client gets one for the name that it asks for and whose key it can verify; the first of all else."`
	ACME        []TLSACME `toml:"acme" doc:"Certificates that are got from the authority of [acme] and renewed in time. Keys and certificates lie in the state folder."`
}

// TLSFile is one more certificate.
type TLSFile struct {
	Certificate string `toml:"certificate" format:"path" required:"true" example:"/etc/letsencrypt/live/mx.example.net/fullchain.pem" doc:"The certificate and its chain in PEM. It is read again when it changes."`
	Key         string `toml:"key" format:"path" required:"true" example:"/etc/letsencrypt/live/mx.example.net/privkey.pem" doc:"The private key of the certificate in PEM."`
}

// Pairs are the files of all certificates, the first one first.
func (t *TLS) Pairs() []TLSFile {
	if t.Certificate == "" {
		return t.Files
	}
	return append([]TLSFile{{t.Certificate, t.Key}}, t.Files...)
}

// DNS names the resolvers.
type DNS struct {
	Servers []string      `toml:"servers" format:"server" example:"127.0.0.1:53" doc:"Resolvers to ask, in this order; port 53 unless written. Not set: those of /etc/resolv.conf. They should validate DNSSEC and be near; DNS lists refuse public resolvers."`
	Timeout time.Duration `toml:"timeout" default:"5s" min:"100ms" max:"30s" doc:"How long one question may take, with all its tries."`
	TrustAD string        `toml:"trust_ad" enum:"loopback,all,none" default:"loopback" rfc:"RFC 6840 section 5.7" doc:"Which resolvers' word counts that they validated an answer (the AD bit). loopback: those at a loopback address; all: every one, where you answer for the network between; none: no one's."`
}

// ClamAV names the clamd daemons.
type ClamAV struct {
	Addresses      []string       `toml:"addresses" format:"address" default:"unix:/run/clamav/clamd.ctl" doc:"The clamd daemons, as unix:/path or address:port. One that does not answer is left out until it does."`
	Networks       []netip.Prefix `toml:"networks" default:"127.0.0.0/8, ::1/128" doc:"Where a clamd over TCP may be: the protocol neither encrypts nor authenticates, so only loopback and private networks named here."`
	Timeout        time.Duration  `toml:"timeout" default:"60s" min:"1s" max:"5m" doc:"How long one scan may take, waiting for a connection included."`
	MaxConnections int            `toml:"max_connections" default:"10" min:"1" max:"1000" doc:"Scans at the same time on each daemon; not more than MaxThreads of clamd."`
	LocalOnly      bool           `toml:"local_only" doc:"The daemon has only local signatures, on purpose: no warning about a missing or old official database."`
	Engines        []ClamAVEngine `toml:"engine" doc:"Further clamd, with other databases: each of them must find nothing. Those in addresses have the same database, and stand in for each other."`
}

// SpamAssassin names the spamd daemons.
type SpamAssassin struct {
	Addresses      []string       `toml:"addresses" format:"address" default:"127.0.0.1:783" doc:"The spamd daemons, as unix:/path or address:port. One that does not answer is left out until it does."`
	Networks       []netip.Prefix `toml:"networks" default:"127.0.0.0/8, ::1/128" doc:"Where a spamd over TCP may be: the protocol neither encrypts nor authenticates, so only loopback and private networks named here."`
	Timeout        time.Duration  `toml:"timeout" default:"30s" min:"1s" max:"5m" doc:"How long one scan may take, waiting for a connection included."`
	MaxSize        Size           `toml:"max_size" default:"512K" min:"16K" max:"64M" doc:"How much of a message spamd gets: of a bigger one only the beginning."`
	MaxConnections int            `toml:"max_connections" default:"5" min:"1" max:"1000" doc:"Scans at the same time on each daemon; not more than --max-children of spamd."`
}

// Log is where the journal goes and how long it is kept.
type Log struct {
	Syslog            string        `toml:"syslog" format:"syslog" default:"none" example:"unix:/dev/log" rfc:"RFC 5424" doc:"Where events go beside stdout: none, unix:/dev/log, udp:host:port or tcp:host:port."`
	Machine           string        `toml:"machine" format:"syslog" default:"none" example:"tcp:192.0.2.1:601" rfc:"RFC 5424" doc:"In the appliance: where the journal of the whole machine goes, what the kernel and each service says, events of mail among it: none, udp:host:port or tcp:host:port."`
	Keep              time.Duration `toml:"keep" default:"21d" min:"1d" max:"3650d" doc:"How long the message log is kept. Older days go, day by day."`
	KeepRefused       time.Duration `toml:"keep_refused" default:"0s" max:"3650d" doc:"How long the message log keeps that of which no content came: connections and transactions that were refused or ended before DATA, and the networks refused before the banner. Their counts stay. 0s: as long as all else; otherwise at least a day, and less than keep."`
	KeepBytes         Size          `toml:"keep_bytes" default:"4G" min:"16M" doc:"How big the message log may become. The oldest days go first."`
	Queue             int           `toml:"queue" unit:"events" default:"65536" min:"16" max:"1048576" doc:"Events that may wait while the disk of the message log hangs, of 64 MiB at most. Mail never waits for it: what finds no room is counted, and raises an alarm."`
	KeepAudit         time.Duration `toml:"keep_audit" default:"365d" min:"30d" max:"3650d" doc:"How long the audit log says who did what. Older entries lose their text and keep their places in the chain."`
	PseudonymiseAfter time.Duration `toml:"pseudonymise_after" default:"0s" max:"3650d" doc:"After how long the message log keeps pseudonyms in the place of addresses, and networks in that of clients; subjects and evidence go. Whoever knows an address finds its mail still. 0s: never; else at least a day, and less than keep."`
	Level             string        `toml:"level" enum:"debug,info,warn,error" default:"info" doc:"What the daemon says about itself on stderr. Events of the journal do not depend on it."`
}

// Web is the listener for monitoring, and the one for strangers.
type Web struct {
	Metrics     netip.AddrPort   `toml:"metrics" default:"127.0.0.1:9625" doc:"Address and port of /metrics, /healthz and /readyz. It has no login: keep it on loopback. An empty text: none."`
	PublicHTTP  []netip.AddrPort `toml:"public_http" example:"0.0.0.0:80, [::]:80" rfc:"RFC 8555 section 8.3" doc:"Addresses and ports where strangers may read, over HTTP, what proves a name to an authority (ACME, http-01), and nothing else. Authorities ask at port 80. None: no such listener."`
	PublicHTTPS []netip.AddrPort `toml:"public_https" example:"0.0.0.0:443, [::]:443" rfc:"RFC 8461 section 3.3" doc:"Addresses and ports where strangers may read, over HTTPS, the MTA-STS policies of our domains, and where names are proved to an authority (ACME, tls-alpn-01), and nothing else. Both are asked for at port 443. None: no such listener."`

	Portal    []netip.AddrPort `toml:"portal" example:"0.0.0.0:8444, [::]:8444" doc:"Addresses and ports of the page, over HTTPS, that links of digests of the quarantine lead to. It has no login: a link is for one message and one recipient, for a while, and once. None: no such listener."`
	PortalURL string           `toml:"portal_url" format:"url" example:"https://quarantine.example.org:8444" doc:"What links of digests begin with: the name, and the port where it is not 443, by which users reach web.portal. A certificate of [tls] must be for that name."`

	Console         netip.AddrPort `toml:"console" default:"127.0.0.1:8443" doc:"Address and port of the console, the operators' pages and the API, over HTTPS (docs/console.md). An empty text: none."`
	ConsoleNetworks []netip.Prefix `toml:"console_networks" default:"127.0.0.0/8, ::1/128, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fc00::/7, fe80::/10" doc:"Who may connect to the console. Others find the connection closed."`
	ConsoleName     string         `toml:"console_name" format:"hostname" example:"console.example.org" doc:"The name by which browsers reach the console. Not set: the host name. Passkeys are bound to it."`

	SSH         []netip.AddrPort `toml:"ssh" example:"0.0.0.0:2222, [::]:2222" rfc:"RFC 4253" doc:"Addresses and ports where users of the console come in by SSH, with a key only, and may run commands of gatepost that their rights allow, and nothing else (docs/ssh.md). None: no such listener."`
	SSHNetworks []netip.Prefix   `toml:"ssh_networks" default:"127.0.0.0/8, ::1/128, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fc00::/7, fe80::/10" doc:"Who may connect to web.ssh. Others find the connection closed."`
}

// Control is the private socket of the command line.
type Control struct {
	Socket string `toml:"socket" format:"path" example:"/run/gatepost/control.sock" doc:"The socket's path. Not set: control.sock in the state folder."`
}

// Shutdown is how the daemon ends.
type Shutdown struct {
	Grace time.Duration `toml:"grace" default:"60s" max:"10m" doc:"How long transactions may go on after SIGTERM. Idle clients get 421 at once."`
}

// Body is the buffer of a message on its way.
type Body struct {
	Memory    Size   `toml:"memory" default:"1280K" min:"4K" max:"16M" doc:"The largest message that stays in memory; a larger one goes to a file without a name."`
	MaxMemory Size   `toml:"max_memory" default:"64M" min:"1M" doc:"How much memory all messages together may take. One that finds none goes to a file, whatever its size."`
	Dir       string `toml:"dir" format:"path" example:"/var/lib/gatepost/tmp" doc:"The folder of these files. Not set: tmp in the state folder."`
	MaxDisk   Size   `toml:"max_disk" default:"4G" min:"64M" doc:"How much all these files together may take. Beyond it new messages are deferred with 452."`
}

// Fill derives what depends on other keys.
func (b *Bootstrap) Fill() {
	if b.StateDir == "" {
		b.StateDir = "/var/lib/gatepost"
	}
	if b.Listeners == nil {
		b.Listeners = []Listener{{Name: "smtp", Addresses: []netip.AddrPort{
			netip.AddrPortFrom(netip.IPv4Unspecified(), 25), netip.AddrPortFrom(netip.IPv6Unspecified(), 25),
		}}}
	}
	for i := range b.Listeners {
		if l := &b.Listeners[i]; len(l.ProxyFrom) == 0 {
			l.ProxyFrom = nil // an empty list and none are the same
		}
	}
	for _, at := range []*[]netip.AddrPort{&b.Web.PublicHTTP, &b.Web.PublicHTTPS, &b.Web.Portal, &b.Web.SSH} {
		if len(*at) == 0 {
			*at = nil
		}
	}
	if b.Web.ConsoleName == "" {
		b.Web.ConsoleName = b.Hostname
	}
	if b.Control.Socket == "" {
		b.Control.Socket = filepath.Join(b.StateDir, "control.sock")
	}
	if b.Body.Dir == "" {
		b.Body.Dir = filepath.Join(b.StateDir, "tmp")
	}
	if b.VaultKey == "" {
		b.VaultKey = filepath.Join(b.StateDir, "keys", "vault.key")
	}
	if b.Spool.Dir == "" {
		b.Spool.Dir = filepath.Join(b.StateDir, "spool")
	}
}

// Validate checks what goes over several keys.
func (b *Bootstrap) Validate(report func(key, message, instead string)) {
	names, places := map[string]bool{}, map[netip.AddrPort]bool{}
	for i, l := range b.Listeners {
		at := "listener[" + strconv.Itoa(i) + "]"
		if l.Name != "" && names[l.Name] {
			report(at+".name", shown(l.Name)+" is the name of two listeners", "give each a name of its own")
		}
		names[l.Name] = true
		for _, a := range l.Addresses {
			if a.Port() != 0 && places[a] {
				report(at+".addresses", shown(a.String())+" is in two listeners", "remove it from one of them")
			}
			places[a] = true
		}
	}
	b.Web.apart(places, report)
	b.Web.portalAddress(report)
	if len(b.Listeners) == 0 {
		report("listener", "is an empty list: no client could connect", "remove the key for the default, or write [[listener]]")
	}

	b.validateACME(report)
	b.validateEngines(report)
	b.spoolApart(report)
	if len(b.Control.Socket) > maxSocketPath {
		report("control.socket", "the path of a socket may have 107 octets, this one has "+strconv.Itoa(len(b.Control.Socket)), "write a shorter path")
	}
}

// Validate checks that pseudonyms come, and refusals go, while there is something to give them to, and to take away.
func (l *Log) Validate(report func(key, message, instead string)) {
	if strings.HasPrefix(l.Machine, "unix:") {
		report("machine", "is a socket of this machine, whose journal it is", `write for example "tcp:192.0.2.1:601"`)
	}
	switch after := l.PseudonymiseAfter; {
	case after > 0 && after < 24*time.Hour:
		report("pseudonymise_after", "is less than a day, which is not over then", `write for example "7d", or "0s" for never`)
	case after > 0 && after >= l.Keep:
		report("pseudonymise_after", "is not less than keep: what is that old is gone", "write less than keep")
	}
	switch after := l.KeepRefused; {
	case after > 0 && after < 24*time.Hour:
		report("keep_refused", "is less than a day, which is not over then", `write for example "3d", or "0s" for as long as all else`)
	case after > 0 && after >= l.Keep:
		report("keep_refused", "is not less than keep: what is that old is gone", `write less than keep, or "0s"`)
	}
}

// apart refuses an address that another listener has as well.
func (w *Web) apart(places map[netip.AddrPort]bool, report func(key, message, instead string)) {
	if w.Metrics.Port() != 0 {
		places[w.Metrics] = true
	}
	if w.Console.Port() != 0 && places[w.Console] {
		report("web.console", shown(w.Console.String())+" is in two listeners", `write another port, or console = "" for none`)
	}
	places[w.Console] = true
	for i, at := range [][]netip.AddrPort{w.PublicHTTP, w.PublicHTTPS, w.Portal, w.SSH} {
		for _, a := range at {
			if a.Port() != 0 && places[a] {
				report([]string{"web.public_http", "web.public_https", "web.portal", "web.ssh"}[i], shown(a.String())+" is in two listeners", "remove it from one of them")
			}
			places[a] = true
		}
	}
}

// Validate checks that a listener listens somewhere, and for whom.
func (l *Listener) Validate(report func(key, message, instead string)) {
	if l.Addresses != nil && len(l.Addresses) == 0 {
		report("addresses", "is an empty list", `write for example addresses = ["0.0.0.0:25", "[::]:25"]`)
	}
	notEverybody("proxy_from", l.ProxyFrom, report)
}

// Validate checks that certificate and key come together, and that no certificate is named twice.
func (t *TLS) Validate(report func(key, message, instead string)) {
	switch {
	case t.Certificate != "" && t.Key == "":
		report("certificate", "has no key", "write the key too, or neither for a self-signed certificate")
	case t.Certificate == "" && t.Key != "":
		report("key", "has no certificate", "write the certificate too, or neither for a self-signed one")
	}
	named := map[string]bool{t.Certificate: t.Certificate != ""}
	for i, f := range t.Files {
		if named[f.Certificate] {
			report("file["+strconv.Itoa(i)+"].certificate", shown(f.Certificate)+" is named twice", "remove one of them")
		}
		named[f.Certificate] = f.Certificate != ""
	}
}

// Validate keeps scanner traffic in private networks.
func (c *ClamAV) Validate(report func(key, message, instead string)) {
	privateOnly(c.Addresses, c.Networks, report)
}

// Validate keeps scanner traffic in private networks.
func (s *SpamAssassin) Validate(report func(key, message, instead string)) {
	privateOnly(s.Addresses, s.Networks, report)
}

// privateOnly refuses a scanner over TCP outside the named networks, and networks that are not private.
func privateOnly(addresses []string, networks []netip.Prefix, report func(key, message, instead string)) {
	for i, n := range networks {
		if !private(n) {
			report("networks["+strconv.Itoa(i)+"]", shown(n.String())+" is not a private network", "write loopback or a private network (RFC 1918, RFC 4193)")
		}
	}
	for i, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil || strings.HasPrefix(address, "unix:") {
			continue
		}
		at := "addresses[" + strconv.Itoa(i) + "]"
		ip, err := netip.ParseAddr(host)
		if err != nil {
			if host != "localhost" {
				report(at, shown(address)+" is a name, so its network cannot be known", "write its IP address")
			}
			continue
		}
		if !within(ip, networks) {
			report(at, shown(address)+" is outside the networks of this scanner", "name its private network in networks, or use a unix socket")
		}
	}
}

// private says whether all of a network is loopback, private or link-local (RFC 1918, RFC 4193, RFC 3927, RFC 4291).
func private(n netip.Prefix) bool {
	for _, s := range []string{
		"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10",
	} {
		if p := netip.MustParsePrefix(s); n.Bits() >= p.Bits() && p.Contains(n.Addr()) {
			return true
		}
	}
	return false
}

func within(ip netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// Warn says what works but should not stay.
func (b *Bootstrap) Warn(report func(key, message, instead string)) {
	if b.Sandbox == SandboxOff {
		report("sandbox", "the daemon could read and write whatever its user can", "remove the key, unless a fault of the sandbox is looked for")
	}
	if b.Web.Metrics.IsValid() && !b.Web.Metrics.Addr().IsLoopback() {
		report("web.metrics", shown(b.Web.Metrics.String())+" can be reached from outside and has no login", `write a loopback address, for example "127.0.0.1:9625"`)
	}
	if slices.ContainsFunc(b.Web.ConsoleNetworks, func(n netip.Prefix) bool { return n.Bits() == 0 }) {
		report("web.console_networks", "lets the whole world try passwords", "write the networks that operators come from")
	}
	if len(b.Web.SSH) > 0 && slices.ContainsFunc(b.Web.SSHNetworks, func(n netip.Prefix) bool { return n.Bits() == 0 }) {
		report("web.ssh_networks", "lets the whole world try keys", "write the networks that operators come from")
	}
}
