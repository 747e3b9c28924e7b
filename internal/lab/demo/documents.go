package main

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"text/template"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// documents are the two that Gatepost reads.
type documents struct{ bootstrap, policy string }

// documents writes both for the parts that run.
func (w *world) documents(dir string) (documents, error) {
	host, port, err := net.SplitHostPort(w.postfix.Addr)
	if err != nil {
		return documents{}, fmt.Errorf("postfix address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return documents{}, fmt.Errorf("postfix address: %w", err)
	}
	values := map[string]any{
		"state": lab.StateDir(dir), "smtp": w.options.smtp, "resolver": w.resolver,
		"clamd": w.clamd.Socket, "spamd": w.spamd.Addr, "domain": domain, "host": host, "port": number,
		"name": w.postfix.Name, "ca": w.postfix.Certificate, "redis": w.redisTable(dir),
		"delay": guestDelay, "most": floodMost, "lists": w.names != nil, "tls": tlsDomain, "person": protected,
	}
	var d documents
	for _, t := range []struct {
		to   *string
		text string
	}{{&d.bootstrap, bootstrapText}, {&d.policy, policyText}} {
		parsed, err := template.New("").Option("missingkey=error").Parse(t.text)
		if err != nil {
			return d, err
		}
		var b bytes.Buffer
		if err := parsed.Execute(&b, values); err != nil {
			return d, err
		}
		*t.to = b.String()
	}
	return d, nil
}

const bootstrapText = `# The demo's bootstrap document; gatepost config default prints all keys.
hostname = "gate.{{.domain}}"
state_dir = {{printf "%q" .state}}

[[listener]]
name = "smtp"
addresses = ["{{.smtp}}"]

[[listener]] # where the demo's clients come from: PROXY headers name them
name = "proxied"
addresses = ["127.0.0.1:0"]
proxy_from = ["127.0.0.0/8"]

[dns]
servers = ["{{.resolver}}"]

[clamav]
addresses = ["unix:{{.clamd}}"]
local_only = true # a database of one signature, on purpose

[spamassassin]
addresses = ["{{.spamd}}"]

[web]
metrics = "127.0.0.1:0"
console = "127.0.0.1:0"
{{.redis}}`

const policyText = `# The demo's policy document; gatepost policy default prints all keys.
[limits]
connections_per_client = 2 # so that it shows

[[rate]] # so that it shows: 20/1m by default
of = "client"
unit = "messages"
unknown = "{{.most}}/10m"

[[tls_required]] # mail of this domain is refused in clear
domains = ["{{.tls}}"]

[checks.impersonation.person]
people = ["{{.person}} <paul@{{.domain}}>"] # whose names strangers may not use

[[rule]] # nobody gets documents with macros; the mail arrives without them
name = "no macros"
check = ["attachments.macro"]
action = "strip"

[checks.greylist]
delay = "{{.delay}}" # 2m by default: mail servers come again after a minute or more
{{if .lists}}
[rbl] # the lists of the catalogue are named in docs/lists.md; this one lies in the demo's own zones
use = "commercial"

[[rbl.own]]
name = "demo"
zone = "list.lab.test"
website = "https://list.lab.test/look-up"
rule = [{ answer = "127.0.0.2", label = "sends spam", weight = 10 }]
{{end}}
[[route]]
name = "internal"
tls = "required"
server_name = "{{.name}}"
ca_file = {{printf "%q" .ca}}

[[route.next_hop]]
host = "{{.host}}"
port = {{.port}}

[[domain]]
name = "{{.domain}}"
route = "internal"
`

// zones are the demo's names: the domain that is served, a sender whose names
// agree, and loopback, where whoever tries it by hand comes from.
func zones(k *keys) dnslab.Zones {
	return dnslab.Text(`
lab.test.                  IN MX  10 gate.lab.test.
gate.lab.test.             IN A   127.0.0.1
mail.lab.test.             IN A   127.0.0.1
sender.test.               IN MX  10 mx.sender.test.
mx.sender.test.            IN A   192.0.2.10
sender.test.               IN TXT "v=spf1 ip4:198.18.0.10 ip4:127.0.0.0/8 -all"
mail.sender.test.          IN A   198.18.0.10
mail.sender.test.          IN A   127.0.0.1
10.0.18.198.in-addr.arpa.  IN PTR mail.sender.test.
1.0.0.127.in-addr.arpa.    IN PTR mail.sender.test.
elsewhere.test.            IN MX  10 mx.elsewhere.test.
mx.elsewhere.test.         IN A   192.0.2.25
null.test.                 IN MX  0 .
notary.test.               IN MX  10 mx.sender.test.
notary.test.               IN TXT "v=spf1 ip4:198.18.0.10 -all"
` + signedZones + strangerZones + k.records())
}
