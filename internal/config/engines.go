package config

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rspamd names the rspamd daemons.
type Rspamd struct {
	Addresses      []string       `toml:"addresses" format:"address" example:"127.0.0.1:11333" doc:"The normal workers of rspamd, as unix:/path or address:port. One that does not answer is left out until it does. Empty: there is no rspamd, and the check rspamd is off."`
	Networks       []netip.Prefix `toml:"networks" default:"127.0.0.0/8, ::1/128" doc:"Where an rspamd over TCP may be: what is told there is neither encrypted nor authenticated, so only loopback and private networks named here."`
	Timeout        time.Duration  `toml:"timeout" default:"30s" min:"1s" max:"5m" doc:"How long one scan may take, waiting for a connection included."`
	MaxSize        Size           `toml:"max_size" default:"512K" min:"16K" max:"64M" doc:"How much of a message rspamd gets: of a bigger one only the beginning."`
	MaxConnections int            `toml:"max_connections" default:"10" min:"1" max:"1000" doc:"Scans at the same time on each daemon."`
	Controller     string         `toml:"controller" format:"address" example:"127.0.0.1:11334" doc:"The controller of rspamd, which learns (training.rspamd in policy.toml), as unix:/path or address:port in the same networks. Empty: rspamd learns nothing."`
	PasswordFile   string         `toml:"password_file" format:"path" example:"/etc/gatepost/rspamd.password" doc:"The file whose first line is the controller's password. Not set: none is sent."`
}

// Validate keeps scanner traffic in private networks.
func (r *Rspamd) Validate(report func(key, message, instead string)) {
	privateOnly(r.Addresses, r.Networks, report)
	if r.Controller != "" {
		privateOnly([]string{r.Controller}, r.Networks, func(key, message, instead string) {
			if strings.HasPrefix(key, "addresses") {
				report("controller", message, instead)
			}
		})
	} else if r.PasswordFile != "" {
		report("password_file", "is there, and no controller that it is for", "write controller, or remove password_file")
	}
}

// ClamAVEngine is one more clamd that must find nothing, with another database than the first.
type ClamAVEngine struct {
	Name      string   `toml:"name" format:"word" required:"true" example:"unofficial" doc:"Its name in traces and metrics."`
	Addresses []string `toml:"addresses" format:"address" required:"true" example:"unix:/run/clamav/unofficial.ctl" doc:"The clamd daemons with this database, as unix:/path or address:port; they stand in for each other. Those over TCP must be in clamav.networks."`
	Optional  bool     `toml:"optional" doc:"Mail does not wait for it while it is away: what the others found counts, and that it did not look is marked (scanner.partly). Otherwise checks.clamav.unknown says what happens."`
}

// ICAP names a scanner that speaks ICAP.
type ICAP struct {
	Addresses      []string       `toml:"addresses" format:"address" example:"127.0.0.1:1344" doc:"Where it listens, as address:port; several stand in for each other. Empty: there is none, and the check icap is off."`
	Service        string         `toml:"service" default:"avscan" max:"200" doc:"The path of the service, as behind icap://host/."`
	Networks       []netip.Prefix `toml:"networks" default:"127.0.0.0/8, ::1/128" doc:"Where it may be in clear: only loopback and private networks named here. With tls it may be anywhere."`
	TLS            bool           `toml:"tls" doc:"Whether to speak TLS (icaps)."`
	ServerName     string         `toml:"server_name" format:"domain" example:"icap.example.org" doc:"The name in the server's certificate. Not set: its address."`
	CAFile         string         `toml:"ca_file" format:"path" example:"/etc/gatepost/icap-ca.pem" doc:"The authorities that may sign its certificate, in PEM. Not set: those of the system."`
	Request        bool           `toml:"request" doc:"Show content as an upload (REQMOD) rather than a download (RESPMOD)."`
	Send           string         `toml:"send" enum:"message,parts" default:"message" doc:"What it is shown. message: the message as it came. parts: each part, decoded, one after another; verdicts of parts that come again are then remembered."`
	Timeout        time.Duration  `toml:"timeout" default:"60s" min:"1s" max:"5m" doc:"How long one scan may take, waiting for a connection included."`
	MaxSize        Size           `toml:"max_size" default:"32M" min:"64K" max:"1G" doc:"The largest content that it is shown. Its own limit must be as high: most servers pass what is bigger unseen, and call it clean. Messages are taken up to this size where checks.icap.unknown defers or refuses them."`
	MaxConnections int            `toml:"max_connections" default:"10" min:"1" max:"1000" doc:"Scans at the same time at each address."`
	NoVirus        bool           `toml:"no_virus" doc:"The service looks for something else than viruses, on purpose: it need not find the EICAR test file."`
	Cache          int            `toml:"cache" default:"10000" min:"0" max:"1000000" doc:"How many verdicts of parts are remembered; 0: none. A verdict holds for one state of the server's database (ISTag)."`
	CacheAge       time.Duration  `toml:"cache_age" default:"1h" min:"1m" max:"7d" doc:"For how long one is remembered."`
}

// Validate keeps scanner traffic in private networks, but for TLS.
func (c *ICAP) Validate(report func(key, message, instead string)) {
	for i, a := range c.Addresses {
		if strings.HasPrefix(a, "unix:") {
			report("addresses["+strconv.Itoa(i)+"]", "ICAP is not spoken over a unix socket", "write address:port")
		}
	}
	if !c.TLS {
		privateOnly(c.Addresses, c.Networks, report)
		if c.CAFile != "" || c.ServerName != "" {
			report("tls", "is not on, and there are keys for it", "write tls = true, or remove ca_file and server_name")
		}
	}
	if strings.ContainsFunc(c.Service, func(r rune) bool { return r <= ' ' || r > '~' }) || c.Service == "" {
		report("service", shown(c.Service)+" is no path", `write for example "avscan"`)
	}
}

// Milter is one mail filter.
type Milter struct {
	Name           string         `toml:"name" format:"word" required:"true" example:"opendkim" doc:"Its name in traces and metrics."`
	Addresses      []string       `toml:"addresses" format:"address" required:"true" example:"127.0.0.1:8891" doc:"Where it listens, as unix:/path or address:port; several stand in for each other."`
	Networks       []netip.Prefix `toml:"networks" default:"127.0.0.0/8, ::1/128" doc:"Where a milter over TCP may be: the protocol neither encrypts nor authenticates, so only loopback and private networks named here."`
	Timeout        time.Duration  `toml:"timeout" default:"30s" min:"1s" max:"5m" doc:"How long the whole dialogue of one message may take."`
	MaxConnections int            `toml:"max_connections" default:"10" min:"1" max:"1000" doc:"Messages at the same time at each address."`
	Optional       bool           `toml:"optional" doc:"Mail does not wait for it while it is away: what the others said counts, and that it did not look is marked (scanner.partly). Otherwise checks.milter.unknown says what happens."`
}

// Hook is one check of the operator's own, over HTTP.
type Hook struct {
	Name           string        `toml:"name" format:"word" required:"true" example:"crm" doc:"Its name in traces and metrics."`
	URL            string        `toml:"url" required:"true" max:"1000" example:"http://127.0.0.1:8080/gatepost" doc:"Where the document is posted: http to a loopback or private address, https else."`
	CAFile         string        `toml:"ca_file" format:"path" example:"/etc/gatepost/hook-ca.pem" doc:"The authorities that may sign the certificate of an https URL, in PEM; it must be for the host of the URL. Not set: those of the system."`
	SecretFile     string        `toml:"secret_file" format:"path" example:"/etc/gatepost/hook.secret" doc:"The file whose first line each request is signed with (X-Gatepost-Signature), so that the hook knows who asks. Not set: requests are not signed."`
	Timeout        time.Duration `toml:"timeout" default:"10s" min:"100ms" max:"2m" doc:"How long one question may take."`
	Send           string        `toml:"send" enum:"envelope,headers,message" default:"headers" doc:"What it is told. envelope: who, to whom, authentication and findings. headers: the header section and what the parts are, too. message: and the message."`
	MaxSize        Size          `toml:"max_size" default:"1M" min:"16K" max:"64M" doc:"How much of a message it gets, with send = message: of a bigger one only the beginning."`
	MaxConnections int           `toml:"max_connections" default:"10" min:"1" max:"1000" doc:"Questions at the same time."`
	Optional       bool          `toml:"optional" doc:"Mail does not wait for it while it is away: what the others said counts, and that it did not answer is marked (scanner.partly). Otherwise checks.hook.unknown says what happens."`
}

// Validate keeps the traffic of milters in private networks.
func (m *Milter) Validate(report func(key, message, instead string)) {
	privateOnly(m.Addresses, m.Networks, report)
}

// Validate refuses a hook that would be told of mail in clear over a foreign network.
func (h *Hook) Validate(report func(key, message, instead string)) {
	const instead = `write for example "http://127.0.0.1:8080/gatepost"`
	u, err := url.Parse(h.URL)
	switch {
	case h.URL == "": // told already
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		report("url", shown(h.URL)+" is no URL of http or https", instead)
	case u.User != nil || u.Fragment != "":
		report("url", "has a user or a fragment, which is not sent", "remove it; secret_file tells the hook who asks")
	case u.Scheme == "http" && !privateHost(u.Hostname()):
		report("url", shown(h.URL)+" would tell of mail in clear beyond loopback and private networks", "write https")
	}
	if err == nil && u.Scheme == "http" && h.CAFile != "" {
		report("ca_file", "is for a URL of https, and this one is of http", "write https, or remove ca_file")
	}
}

func privateHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && private(netip.PrefixFrom(a, a.BitLen()))
}

// validateHooks refuses a hook whose address is one of our own: what listens there is no hook, and its answer to each message
// would be that of a stranger's web request.
func (b *Bootstrap) validateHooks(report func(key, message, instead string)) {
	ours := map[string][]netip.AddrPort{"web.metrics": {b.Web.Metrics}, "web.public_http": b.Web.PublicHTTP, "web.public_https": b.Web.PublicHTTPS}
	for _, l := range b.Listeners {
		ours["listener"] = append(ours["listener"], l.Addresses...)
	}
	for i, h := range b.Hooks {
		u, err := url.Parse(h.URL)
		if err != nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(ours)) {
			if slices.ContainsFunc(ours[key], func(a netip.AddrPort) bool { return b.leadsTo(u, a) }) {
				report("hook["+strconv.Itoa(i)+"].url", shown(h.URL)+" is where this gateway listens itself ("+key+")", "write where the hook listens")
				break
			}
		}
	}
}

// leadsTo tells whether a URL leads to an address that we listen at, as far as the document can tell: nobody is asked.
func (b *Bootstrap) leadsTo(u *url.URL, ours netip.AddrPort) bool {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if ours.Port() == 0 || port != strconv.Itoa(int(ours.Port())) {
		return false
	}
	any := ours.Addr().IsUnspecified()
	host, err := netip.ParseAddr(u.Hostname())
	switch {
	case err == nil:
		return host.Unmap() == ours.Addr().Unmap() || any && (host.IsLoopback() || host.IsUnspecified())
	case u.Hostname() == "localhost":
		return any || ours.Addr().IsLoopback()
	}
	return strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), b.Hostname)
}

// validateEngines refuses two engines of one kind with one name: nobody could tell which it was.
func (b *Bootstrap) validateEngines(report func(key, message, instead string)) {
	unique := func(table string, n int, name func(i int) string) {
		named := map[string]bool{}
		for i := range n {
			if s := name(i); named[s] && s != "" {
				report(table+"["+strconv.Itoa(i)+"].name", shown(s)+" is the name of two", "give each a name of its own")
			}
			named[name(i)] = true
		}
	}
	unique("clamav.engine", len(b.ClamAV.Engines), func(i int) string { return b.ClamAV.Engines[i].Name })
	unique("milter", len(b.Milters), func(i int) string { return b.Milters[i].Name })
	unique("hook", len(b.Hooks), func(i int) string { return b.Hooks[i].Name })
	b.validateHooks(report)
	for i, e := range b.ClamAV.Engines {
		privateOnly(e.Addresses, b.ClamAV.Networks, func(key, message, instead string) {
			if strings.HasPrefix(key, "addresses") {
				report("clamav.engine["+strconv.Itoa(i)+"]."+key, message, "name its private network in clamav.networks, or use a unix socket")
			}
		})
	}
	if len(b.ClamAV.Engines) > 0 && len(b.ClamAV.Addresses) == 0 {
		report("clamav.addresses", "is empty, and there are further engines", "write the first engine's addresses there, and remove it from [[clamav.engine]]")
	}
}
