package postfix

import (
	"maps"
	"slices"
	"strings"
)

// Param is one parameter as it is set.
type Param struct {
	Name  string
	Value string // as written, lines joined
	At    Place
}

// Config is a Postfix configuration.
type Config struct {
	Params   map[string]Param // as main.cf sets them, the last one of a name
	Services []Service
	Faults   []Fault
	files    *Files
	tables   map[string]*Table // what was read, by type and name
}

// Load reads main.cf and master.cf. A missing master.cf is a fault; a missing main.cf an error.
func Load(files *Files) (*Config, error) {
	name, data, err := files.Read("main.cf")
	if err != nil {
		return nil, err
	}
	c := &Config{Params: map[string]Param{}, files: files, tables: map[string]*Table{}}
	c.main(name, data)
	if name, data, err = files.Read("master.cf"); err != nil {
		c.fault(Place{File: name}, "", "cannot be read: "+reason(err))
		return c, nil
	}
	c.master(name, data)
	return c, nil
}

func (c *Config) fault(at Place, what, why string) {
	const most = 10_000
	if len(c.Faults) < most {
		c.Faults = append(c.Faults, Fault{at, cut(what), why})
	}
}

func (c *Config) main(file string, data []byte) {
	for _, l := range lines(data) {
		name, value, ok := strings.Cut(l.text, "=")
		p := Param{strings.TrimSpace(name), strings.TrimSpace(value), Place{file, l.at}}
		if !ok || p.Name == "" || strings.ContainsAny(p.Name, " \t") {
			c.fault(p.At, l.text, `is no "name = value"`)
			continue
		}
		if before, twice := c.Params[p.Name]; twice {
			c.fault(before.At, before.Name, "is overridden by "+p.At.String())
		}
		c.Params[p.Name] = p
	}
}

// Names are the names of all parameters that are set, in the order of the file.
func (c *Config) Names() []string {
	return slices.SortedFunc(maps.Keys(c.Params), func(a, b string) int {
		if d := c.Params[a].At.Line - c.Params[b].At.Line; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// Get returns a parameter as it is in force, its value expanded, and whether main.cf sets it. What has no default here is "".
func (c *Config) Get(name string) (Param, bool) { return c.get(name, nil) }

// get lets the options of a service override main.cf.
func (c *Config) get(name string, service *Service) (Param, bool) {
	p, set := c.Params[name]
	if service != nil {
		for _, o := range service.Options {
			if o.Name == name {
				p, set = o, true
			}
		}
	}
	if !set {
		p = Param{name, defaultOf(name), Place{File: "default of Postfix"}}
	}
	e := expander{c: c, service: service}
	p.Value = strings.TrimSpace(e.expand(p.Value, 0))
	if e.failed != "" {
		c.fault(p.At, name, e.failed)
	}
	return p, set
}

// Value is the expanded value of a parameter.
func (c *Config) Value(name string) string {
	p, _ := c.Get(name)
	return p.Value
}

// defaultOf are the defaults of Postfix 3.7 that an import depends on.
func defaultOf(name string) string {
	switch name {
	case "compatibility_level", "relayhost", "recipient_delimiter", "transport_maps", "virtual_alias_maps", "virtual_mailbox_maps",
		"relay_recipient_maps", "smtpd_tls_security_level", "smtp_tls_security_level", "postscreen_dnsbl_sites", "stress":
		return map[bool]string{true: "0"}[name == "compatibility_level"]
	case "config_directory":
		return home
	case "queue_directory":
		return "/var/spool/postfix"
	case "data_directory":
		return "/var/lib/postfix"
	case "mydomain":
		return "" // made of myhostname by expand
	case "myorigin":
		return "$myhostname"
	case "mydestination":
		return "$myhostname, localhost.$mydomain, localhost"
	case "relay_domains":
		return "${{$compatibility_level} <level {2} ? {$mydestination} : {}}"
	case "relay_transport":
		return "relay"
	case "local_transport":
		return "local:$myhostname"
	case "virtual_transport":
		return "virtual"
	case "default_transport":
		return "smtp"
	case "virtual_alias_domains":
		return "$virtual_alias_maps"
	case "virtual_mailbox_domains":
		return "$virtual_mailbox_maps"
	case "parent_domain_matches_subdomains":
		return "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps"
	case "default_database_type":
		return "hash"
	case "inet_interfaces", "inet_protocols":
		return "all"
	case "message_size_limit":
		return "10240000"
	case "postscreen_dnsbl_threshold":
		return "1"
	case "postscreen_dnsbl_action", "postscreen_greet_action", "postscreen_blacklist_action":
		return "ignore"
	case "smtp_tls_fingerprint_digest":
		return "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}"
	case "mail_name":
		return "Postfix"
	case "smtpd_client_event_limit_exceptions":
		return "$mynetworks"
	}
	return ""
}
