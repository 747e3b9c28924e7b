package firewall

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// documents names something of every kind that the firewall must know.
const bootstrap = `
hostname = "mx.example.org"
[[listener]]
name = "smtp"
addresses = ["0.0.0.0:25", "[::]:25"]
[[listener]]
name = "balanced"
addresses = ["0.0.0.0:2525"]
proxy_from = ["10.0.0.8/32"]
[dns]
servers = ["192.0.2.53"]
[clamav]
addresses = ["unix:/run/clamav/clamd.ctl", "10.0.0.7:3310"]
networks = ["10.0.0.7/32"]
[icap]
addresses = ["127.0.0.1:1344"]
[[milter]]
name = "sign"
addresses = ["10.0.0.9:8891"]
networks = ["10.0.0.9/32"]
[[hook]]
name = "crm"
url = "https://crm.example.org/gatepost"
[redis]
addresses = ["redis.example.org:6380"]
tls = true
secret_file = "/etc/gatepost/redis.secret"
user = "gatepost"
password_file = "/etc/gatepost/redis.password"
[store]
url = "postgres://gatepost@db.example.org/gatepost?sslmode=verify-full"
log = "postgres://gatepost@192.0.2.60:5433/gatepost?sslmode=verify-full"
[log]
syslog = "udp:192.0.2.14:514"
machine = "tcp:192.0.2.15:601"
[tls]
acme = [{ names = ["mx.example.org"], challenge = "dns-01" }]
[acme]
directory = "https://acme.example.org:14000/dir"
dns_server = "192.0.2.54"
tsig_name = "k"
tsig_secret_file = "/etc/gatepost/tsig"
[web]
console = "0.0.0.0:8443"
console_networks = ["10.0.0.0/8", "fd00::/8"]
ssh = ["0.0.0.0:2222", "[::]:2222"]
ssh_networks = ["10.9.0.0/16", "fd09::/16"]
portal = ["0.0.0.0:8444"]
portal_url = "https://mx.example.org:8444"
public_https = ["0.0.0.0:443"]
[login.oidc]
issuer = "https://id.example.org:9443/staff"
client_id = "gatepost"
client_secret_file = "/etc/gatepost/oidc"
[backup]
every = "24h"
passphrase_file = "/etc/gatepost/backup.passphrase"
[[backup.target]]
name = "nas"
sftp = "sftp://gatepost@192.0.2.61/backups"
host_key = "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8"
key_file = "/etc/gatepost/backup.ssh"
[[backup.target]]
name = "disk"
directory = "/mnt/backups"
[[backup.target]]
name = "cloud"
s3 = "https://s3.example.org"
bucket = "backups"
credentials_file = "/etc/gatepost/backup.s3"
[[backup.target]]
name = "rack"
s3 = "https://192.0.2.62:9000"
bucket = "backups"
credentials_file = "/etc/gatepost/backup.s3"
`

const policy = `
[[route]]
name = "internal"
[[route.next_hop]]
host = "192.0.2.25"
[[route.next_hop]]
host = "lmtp.example.org"
port = 2424
[[route.next_hop]]
host = "127.0.0.1"
port = 10025
[[domain]]
name = "example.org"
route = "internal"
[[directory]]
name = "staff"
kind = "ldap"
servers = ["ldaps://192.0.2.39", "ldaps://dc2.example.org:1636"]
base = "dc=example,dc=org"
server_name = "dc.example.org"
[alarms.mail]
to = ["admin@example.net"]
smarthost = "smtp.example.net"
[alarms.webhook]
url = "https://192.0.2.80:8065/hook"
[alarms.syslog]
server = "tcp:log.example.org:601"
[reports.dmarc]
from = "dmarc@reports.example.org"
via = "198.51.100.9:2587"
`

// rules has gatepost appliance firewall print what two documents name; user numbers are left out, since they differ by host.
func rules(t *testing.T, texts ...string) (out, told string, code int) {
	t.Helper()
	dir := t.TempDir()
	for i, name := range []string{config.BootstrapFile, "policy.toml"} {
		if i < len(texts) {
			text := strings.ReplaceAll(texts[i], "hostname =", "state_dir = \""+dir+"\"\nhostname =")
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var printed, errs bytes.Buffer
	code = run(t.Context(), cli.Env{Out: &printed, Err: &errs}, []string{"--config", dir})
	cmd := exec.CommandContext(t.Context(), "nft", "-c", "-f", "-")
	cmd.Stdin = strings.NewReader(printed.String())
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("nft refuses: %v (scripts/install installs it)\n%s\n%s", err, said, &printed)
	}
	return printed.String(), errs.String(), code
}

// worded words the plan of two documents as if all users were there.
func worded(t *testing.T, boot, pol string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{config.BootstrapFile: boot, "policy.toml": pol} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := config.LoadFiles(dir, config.Sections{})
	if c == nil {
		t.Fatal(problems)
	}
	numbers := map[string]int{ours: 1, resolver: 2, clock: 3, databases: 4, rulesUser: 5}
	return Of(c, []netip.Addr{netip.MustParseAddr("192.0.2.55"), netip.MustParseAddr("127.0.0.1")}).Render(func(user string) (int, bool) {
		n, ok := numbers[user]
		return n, ok
	})
}

// TestPlan shows the rule for each thing that documents name, and none for what they do not.
func TestPlan(t *testing.T) {
	text := worded(t, bootstrap, policy)
	want := `		ip saddr { 10.0.0.0/8 } tcp dport 8443 accept comment "console"
		ip6 saddr { fd00::/8 } tcp dport 8443 accept comment "console"
		ip saddr { 10.9.0.0/16 } tcp dport 2222 accept comment "SSH"
		ip6 saddr { fd09::/16 } tcp dport 2222 accept comment "SSH"
		ip saddr { 10.0.0.8/32 } tcp dport 2525 accept comment "mail, listener balanced"
		tcp dport 25 accept comment "mail, listener smtp"
		tcp dport 443 accept comment "public pages over HTTPS (MTA-STS, ACME)"
		tcp dport 8444 accept comment "portal"
		ip daddr { 192.0.2.53/32 } udp dport 53 accept comment "resolver"
		ip daddr { 192.0.2.53/32 } tcp dport 53 accept comment "resolver"
		meta skuid 2 udp dport 53 accept comment "DNS"
		meta skuid 2 tcp dport 53 accept comment "DNS"
		meta skuid 3 udp dport 123 accept comment "NTP"
		meta skuid 3 tcp dport 4460 accept comment "NTS"
		meta skuid 4 tcp dport 80 accept comment "freshclam"
		meta skuid 4 tcp dport 443 accept comment "freshclam"
		meta skuid 5 tcp dport 80 accept comment "sa-update"
		meta skuid 5 tcp dport 443 accept comment "sa-update"
		meta skuid 1 tcp dport 443 accept comment "MTA-STS, ACME, reports about TLS"
		meta skuid 1 tcp dport 443 accept comment "hook crm"
		meta skuid 1 tcp dport 25 accept comment "mail"
		ip daddr { 192.0.2.25/32 } meta skuid 1 tcp dport 25 accept comment "route internal"
		meta skuid 1 tcp dport 2424 accept comment "route internal"
		ip daddr { 10.0.0.7/32 } meta skuid 1 tcp dport 3310 accept comment "clamd"
		ip daddr { 10.0.0.9/32 } meta skuid 1 tcp dport 8891 accept comment "milter sign"
		meta skuid 1 tcp dport 6380 accept comment "Redis"
		meta skuid 1 tcp dport 5432 accept comment "PostgreSQL"
		ip daddr { 192.0.2.60/32 } meta skuid 1 tcp dport 5433 accept comment "PostgreSQL"
		ip daddr { 192.0.2.14/32 } meta skuid 1 udp dport 514 accept comment "journal to syslog"
		ip daddr { 192.0.2.15/32 } meta skuid 1 tcp dport 601 accept comment "journal of the machine to syslog"
		meta skuid 1 tcp dport 14000 accept comment "ACME"
		ip daddr { 192.0.2.54/32 } meta skuid 1 tcp dport 53 accept comment "ACME, updates of DNS (RFC 2136)"
		ip daddr { 192.0.2.54/32 } meta skuid 1 udp dport 53 accept comment "ACME, updates of DNS (RFC 2136)"
		ip daddr { 192.0.2.61/32 } meta skuid 1 tcp dport 22 accept comment "backups to nas"
		meta skuid 1 tcp dport 443 accept comment "backups to cloud"
		ip daddr { 192.0.2.62/32 } meta skuid 1 tcp dport 9000 accept comment "backups to rack"
		meta skuid 1 tcp dport 9443 accept comment "OpenID Connect"
		ip daddr { 192.0.2.39/32 } meta skuid 1 tcp dport 636 accept comment "directory staff"
		meta skuid 1 tcp dport 1636 accept comment "directory staff"
		meta skuid 1 tcp dport 587 accept comment "alarms by mail"
		ip daddr { 192.0.2.80/32 } meta skuid 1 tcp dport 8065 accept comment "alarms by webhook"
		meta skuid 1 tcp dport 601 accept comment "alarms by syslog"
		ip daddr { 198.51.100.9/32 } meta skuid 1 tcp dport 2587 accept comment "reports"
`
	rest := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "comment") && !strings.Contains(line, `"DHCP"`) {
			rest[line] = true
		}
	}
	for line := range strings.Lines(want) {
		if !rest[line] {
			t.Errorf("missing: %s", line)
		}
		delete(rest, line)
	}
	for line := range rest {
		t.Errorf("too much: %s", line)
	}
}

// TestPlanBegins shows what is open before anything was configured.
func TestPlanBegins(t *testing.T) {
	text := worded(t, "hostname = \"mx.example.org\"\n", "")
	for line, there := range map[string]bool{
		`tcp dport 25 accept comment "mail, listener smtp"`:                              true,
		`meta skuid 1 meta l4proto tcp accept comment "no route yet: servers are tried"`: true,
		`ip daddr { 192.0.2.55/32 } udp dport 53 accept comment "resolver"`:              true,
		"8443":                              false, // on loopback
		"127.0.0.1":                         false,
		"dport 443 accept comment \"public": false,
	} {
		if strings.Contains(text, line) != there {
			t.Errorf("%q: want %v in\n%s", line, there, text)
		}
	}
}

// TestCommand shows what is printed of documents, and of those that cannot be used.
func TestCommand(t *testing.T) {
	out, told, code := rules(t, bootstrap, policy)
	if code != cli.Done || !strings.Contains(out, "policy drop") || !strings.Contains(out, `tcp dport 25 accept comment "mail, listener smtp"`) {
		t.Errorf("%d %s\n%s", code, told, out)
	}
	out, told, code = rules(t, "hostnam = 1\n", "")
	if code != cli.Found || !strings.Contains(told, "only the console is open") || !strings.Contains(told, "hostnam") ||
		!strings.Contains(out, "10.0.0.0/8, ") || strings.Contains(out, "dport 25 accept comment \"mail, l") {
		t.Errorf("%d %s\n%s", code, told, out)
	}
}
