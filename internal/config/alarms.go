package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Alarms is who is told that something is wrong, and how.
type Alarms struct {
	Repeat  time.Duration `toml:"repeat" default:"4h" min:"10m" max:"30d" doc:"How long after a notice an alarm is told again that is not over and that nobody acknowledged (gatepost alarm ack)."`
	Mail    AlarmMail     `toml:"mail" doc:"Notices by mail, through a smarthost of their own: what is wrong may be the next hop that all other mail takes."`
	Webhook AlarmWebhook  `toml:"webhook" doc:"Notices by HTTP, for a chat or for whoever is called at night."`
	Syslog  AlarmSyslog   `toml:"syslog" rfc:"RFC 5424" doc:"Notices to a syslog server, besides what the journal tells it."`
	Weekly  Weekly        `toml:"weekly" doc:"A report of the week, by the smarthost of notices."`
}

// AlarmMail is how notices are mailed.
type AlarmMail struct {
	To         []string `toml:"to" format:"mailbox" example:"admin@example.net" doc:"Who gets them, 20 at most; best in a domain whose mail does not come through this gateway. Not set: nobody."`
	From       string   `toml:"from" format:"mailbox" example:"gatepost@example.org" doc:"Their sender. Not set: gatepost at the hostname."`
	Smarthost  string   `toml:"smarthost" format:"host" example:"smtp.example.net" doc:"The server that takes them: a name or an address."`
	Port       int      `toml:"port" default:"587" min:"1" max:"65535" rfc:"RFC 6409" doc:"Its port."`
	TLS        RouteTLS `toml:"tls" enum:"none,opportunistic,required" default:"required" rfc:"RFC 3207" doc:"none: never; opportunistic: where it is offered, unverified; required: verified by name. A smarthost that nobody verifies can read all notices."`
	CAFile     string   `toml:"ca_file" format:"path" example:"/etc/gatepost/smarthost-ca.pem" doc:"The authorities in PEM that tls = required believes. Not set: those of the system."`
	ServerName string   `toml:"server_name" format:"hostname" example:"smtp.example.net" rfc:"RFC 6125" doc:"The name that the certificate must have. Not set: smarthost."`
	Auth       Auth     `toml:"auth" doc:"Who the gateway is to the smarthost. Needs tls = required."`
	Least      string   `toml:"least" enum:"info,warning,critical" default:"warning" doc:"Milder alarms are not mailed."`
}

// Used reports whether notices are mailed.
func (m *AlarmMail) Used() bool { return len(m.To) > 0 }

// AlarmWebhook is how notices are posted.
type AlarmWebhook struct {
	URL        string `toml:"url" max:"1000" secret:"https://hidden.invalid/" example:"https://chat.example.net/hooks/gatepost" doc:"Where they are posted as JSON (docs/alarms.md): https, or http to this machine."`
	SecretFile string `toml:"secret_file" format:"path" example:"/etc/gatepost/alarm-webhook.secret" doc:"The file whose first line each request is signed with (X-Gatepost-Signature), so that the other side knows who asks. Not set: requests are not signed."`
	CAFile     string `toml:"ca_file" format:"path" example:"/etc/gatepost/webhook-ca.pem" doc:"The authorities in PEM that may sign its certificate. Not set: those of the system."`
	Least      string `toml:"least" enum:"info,warning,critical" default:"warning" doc:"Milder alarms are not posted."`
}

// AlarmSyslog is how notices are told to a syslog server.
type AlarmSyslog struct {
	Server string `toml:"server" format:"syslog" default:"none" example:"udp:192.0.2.1:514" doc:"none, unix:/dev/log, udp:host:port or tcp:host:port."`
	Least  string `toml:"least" enum:"info,warning,critical" default:"info" doc:"Milder alarms are not told."`
}

// Used reports whether notices are told to a syslog server.
func (s *AlarmSyslog) Used() bool { return s.Server != "" && s.Server != "none" }

// Weekly is when the report of the week is mailed.
type Weekly struct {
	Day string   `toml:"day" enum:"off,monday,tuesday,wednesday,thursday,friday,saturday,sunday" default:"monday" doc:"The day on which it is mailed, where alarms.mail has somebody to mail it to; off: never. gatepost report weekly --print shows it."`
	At  string   `toml:"at" format:"clock" default:"07:00" doc:"The time of day, of the zone of the machine."`
	To  []string `toml:"to" format:"mailbox" example:"boss@example.net" doc:"Who gets it, 20 at most. Not set: those of alarms.mail."`
}

// Validate checks that what is said of a path goes together, and that no secret goes in clear.
func (m *AlarmMail) Validate(report func(key, message, instead string)) {
	if !m.Used() {
		if key := firstOf(stated{"smarthost", m.Smarthost != ""}, stated{"from", m.From != ""}, stated{"ca_file", m.CAFile != ""}, stated{"server_name", m.ServerName != ""}, stated{"auth", m.Auth.Used()}); key != "" {
			report(key, "nobody gets notices without to", `write for example to = ["admin@example.net"]`)
		}
		return
	}
	tooMany(report, m.To)
	if m.Smarthost == "" {
		report("smarthost", "is missing, so no notice could be mailed", `write the server that takes them, for example "smtp.example.net"`)
	}
	verified := m.TLS == TLSRequired
	switch {
	case (m.Auth.User == "") != (m.Auth.PasswordFile == ""):
		report("auth", "needs both user and password_file", "write both, or neither")
	case m.Auth.Used() && !verified:
		report("tls", "would tell the password to whoever answers", `write tls = "required"`)
	case m.CAFile != "" && !verified:
		report("ca_file", "nobody looks at the certificate", `write tls = "required", or remove ca_file`)
	case m.ServerName != "" && !verified:
		report("server_name", "nobody looks at the certificate", `write tls = "required", or remove server_name`)
	}
}

// mostNotified is how many people one mail of ours goes to.
const mostNotified = 20

func tooMany(report func(key, message, instead string), to []string) {
	if len(to) > mostNotified {
		report("to", "has "+strconv.Itoa(len(to))+" addresses, which is more than "+strconv.Itoa(mostNotified), "let a list server do that")
	}
}

// Validate refuses a URL that tells of what is wrong in clear, or that cannot be asked.
func (w *AlarmWebhook) Validate(report func(key, message, instead string)) {
	if w.URL == "" {
		if key := firstOf(stated{"secret_file", w.SecretFile != ""}, stated{"ca_file", w.CAFile != ""}); key != "" {
			report(key, "there is no webhook without url", "write url, or remove it")
		}
		return
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		report("url", "is no URL of http or https", `write for example "https://chat.example.net/hooks/gatepost"`)
	case u.User != nil || u.Fragment != "":
		report("url", "has a user or a fragment, which is not sent", "remove it; secret_file tells the other side who asks")
	case u.Scheme == "http" && !thisMachine(u.Hostname()):
		report("url", "would tell in clear, beyond this machine, what is wrong here", "write https")
	case u.Scheme == "http" && w.CAFile != "":
		report("ca_file", "is for a URL of https, and this one is of http", "write https, or remove ca_file")
	}
}

// thisMachine reports whether a host of a URL is this machine.
func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Validate refuses a report that nobody can get.
func (a *Alarms) Validate(report func(key, message, instead string)) {
	tooMany(func(_, message, instead string) { report("weekly.to", message, instead) }, a.Weekly.To)
	if len(a.Weekly.To) > 0 && !a.Mail.Used() {
		report("weekly.to", "the report goes by the smarthost of notices, and there is none", "write alarms.mail.to and alarms.mail.smarthost too")
	}
}

// stated is a key, and whether the document states it.
type stated struct {
	key string
	is  bool
}

// firstOf returns the first key that is stated; "" for none.
func firstOf(keys ...stated) string {
	for _, k := range keys {
		if k.is {
			return k.key
		}
	}
	return ""
}
