package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/importer"
	"gatepost/internal/importer/lists"
	"gatepost/internal/importer/postfix"
)

// usable reports what check would refuse in the documents of an import.
func usable(t *testing.T, d *importer.Draft) {
	t.Helper()
	policy, problems := config.DecodePolicy("policy.toml", []byte(d.Policy.Text()), sections())
	if problems.Refused() {
		t.Errorf("%s\n%s", problems, d.Policy.Text())
		return
	}
	c := &config.Config{Bootstrap: &config.Bootstrap{}, Policy: policy, Where: config.Where{}}
	if err := makeRouting(c, makePolicy(c)); err != nil {
		t.Errorf("%v\n%s", err, d.Policy.Text())
	}
	if _, problems := config.DecodeBootstrap("gatepost.toml", []byte(d.Bootstrap.Text())); problems.Refused() {
		t.Errorf("%s\n%s", problems, d.Bootstrap.Text())
	}
	var report bytes.Buffer
	d.Report.Write(&report)
	if err := d.Report.WriteJSON(&report); err != nil {
		t.Error(err)
	}
}

// FuzzImport makes documents of whatever stands in a Postfix configuration, or in a list: check takes them.
func FuzzImport(f *testing.F) {
	dirs, err := filepath.Glob(importsUnder + "/*")
	if err != nil || len(dirs) < 6 {
		f.Fatal(dirs, err)
	}
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		return string(data)
	}
	for _, dir := range dirs {
		f.Add(read(filepath.Join(dir, "main.cf")), read(filepath.Join(dir, "master.cf")), read(filepath.Join(dir, "transport"))+read(filepath.Join(dir, "virtual")))
	}
	f.Add("message_size_limit = 1\nsmtpd_hard_error_limit = 1\nsmtpd_soft_error_limit = 900\nsmtpd_recipient_limit = 3\nheader_size_limit = 99999999\nsmtpd_client_connection_count_limit = 5000\n", "", "")
	f.Add("relay_domains = a.example b.example a.example\ntransport_maps = hash:t\nvirtual_alias_maps = hash:t\nvirtual_alias_domains = hash:t\nrelay_recipient_maps = hash:t\n", "",
		"a.example smtp:[x.example]\n@b.example @a.example\nu@a.example v@a.example\nv@a.example u@a.example\nw@a.example smtp:[y.example]\nsub.a.example smtp:[y.example],[x.example],[x.example]\n")
	f.Fuzz(func(t *testing.T, main, master, table string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"main.cf": main, "master.cf": master, "t": table, "transport": table, "virtual": table} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := postfix.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		o := importer.Options{Expires: time.Date(2027, 2, 24, 0, 0, 0, 0, time.UTC), Use: "non-commercial"}
		if c, err := postfix.Load(files); err == nil {
			usable(t, importer.FromPostfix(c, o))
		}
		for _, kind := range []string{"allow", "block"} {
			if rows, err := lists.Read(bytes.NewReader([]byte(table))); err == nil {
				usable(t, importer.FromLists(rows, importer.ListOptions{Options: o, File: "list", Kind: kind}))
			}
		}
	})
}

// TestImportOfAnything makes configurations of odd values in each place that an import looks at: check takes whatever comes of
// them.
func TestImportOfAnything(t *testing.T) {
	names := []string{"message_size_limit", "header_size_limit", "line_length_limit", "hopcount_limit", "smtpd_soft_error_limit", "smtpd_hard_error_limit",
		"smtpd_junk_command_limit", "smtpd_client_connection_count_limit", "smtpd_recipient_limit", "smtpd_error_sleep_time", "smtpd_timeout", "anvil_rate_time_unit",
		"smtpd_client_connection_rate_limit", "smtpd_client_message_rate_limit", "smtpd_client_recipient_rate_limit", "smtpd_banner", "smtpd_discard_ehlo_keywords",
		"smtpd_tls_security_level", "smtp_tls_security_level", "relayhost", "relay_transport", "virtual_transport", "local_transport", "mydestination", "relay_domains",
		"virtual_mailbox_domains", "virtual_alias_domains", "virtual_alias_maps", "transport_maps", "relay_recipient_maps", "mynetworks", "myhostname", "myorigin", "inet_interfaces",
		"inet_protocols", "postscreen_dnsbl_sites", "postscreen_dnsbl_threshold", "postscreen_access_list", "smtpd_recipient_restrictions", "smtp_tls_policy_maps",
		"parent_domain_matches_subdomains", "smtpd_milters"}
	values := []string{"", "0", "1", "7", "-1", "99", "70000", "5000000", "999999999999", "1h", "3d", "90s", "none", "may", "encrypt", "secure", "fingerprint", "dane", "yes",
		"ESMTP", "$myhostname ESMTP x", "ESMTP \"q\\u\"", "size, starttls, dsn", "starttls", "[192.0.2.1]", "[mail.example.org]:2525", "mail.example.org", "[::1]:26", "a.example, a.example",
		"lmtp:unix:private/lmtp", "lmtp:inet:x.example:24", "smtp:[a.example], [192.0.2.1]", "error:no", "local", "virtual", "smtp", "example.org", "example.org, .example.org",
		"EXAMPLE.ORG sub.example.org *.x.example", "b\u00fccher.example", "xn--bcher-kva.example", "a_b.example", "localhost", "mx.example.org", "127.0.0.0/8 10.0.0.0/7", "0.0.0.0/0 ::/0",
		"!10.1.0.0/16 10.0.0.0/8", "all", "ipv4", "127.0.0.1, ::1, 192.0.2.9", "zen.spamhaus.org*2 zen.spamhaus.org=127.0.0.[2..4]*-3 x.example=127.0.0.1*99 dbl.spamhaus.org",
		"bl.spamcop.net.", "list.dnswl.org=127.0.[0..255].[0..3]*-5, b.example=127.[0..255].*", "hash:t", "regexp:t", "cidr:t", "static:x", "inline:{ a.example=b.example, @a.example = @b.example }",
		"check_client_access cidr:t, check_sender_access hash:t, check_helo_access regexp:t, reject_rbl_client x.example, reject_rhsbl_sender y.example, reject_rhsbl_helo zen.spamhaus.org",
		"permit_dnswl_client list.dnswl.org, check_reverse_client_hostname_access hash:t", "$relay_domains $mynetworks", "relay_domains", "unix:/x"}
	keys := []string{"example.org", "sub.example.org", ".example.org", "a@example.org", "b@example.org", "c@sub.example.org", "@example.org", "@old.example", "old.example", "a@old.example",
		"abuse", "*", "192.0.2.0/24", "192.0.2", "0.0.0.0/0", "2001:db8::/32", "/^a@example\\.org$/", "/./", "\"a b\"@example.org", "x y", "<>"}
	results := []string{"a@example.org", "b@example.org, c@sub.example.org", "@example.org", "@old.example", "smtp:[192.0.2.5]", "lmtp:unix:/run/x", "smtp:x.example", ":", "error:no", "REJECT", "OK",
		"550 no \"way\"", "a@old.example", "x", "DUNNO", "encrypt", "secure match=mail.example.org"}
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	for range 250 {
		var main, table strings.Builder
		for _, name := range names {
			if r.IntN(3) > 0 {
				main.WriteString(name + " = " + pick(values) + "\n")
			}
		}
		for range r.IntN(25) {
			table.WriteString(pick(keys) + " " + pick(results) + "\n")
		}
		master := []string{"smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n", "smtp inet n - y - - smtpd\n25 inet n - y - - smtpd\n[::1]:smtp inet n - y - - smtpd\n",
			"192.0.2.7:99999 inet n - y - - smtpd\nx.example:smtp inet n - y - - smtpd -o smtpd_upstream_proxy_protocol=haproxy\n", ""}[r.IntN(4)]
		dir := t.TempDir()
		for name, text := range map[string]string{"main.cf": main.String(), "master.cf": master, "t": table.String()} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := postfix.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := postfix.Load(files)
		if err == nil {
			usable(t, importer.FromPostfix(c, importer.Options{Expires: time.Date(2027, 2, 24, 0, 0, 0, 0, time.UTC), Use: pick([]string{"", "commercial", "non-commercial"})}))
		}
		files.Close()
		if t.Failed() {
			t.Fatalf("main.cf:\n%s\nt:\n%s\nmaster.cf:\n%s", main.String(), table.String(), master)
		}
	}
}
