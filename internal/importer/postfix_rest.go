package importer

import (
	"strings"

	"gatepost/internal/importer/postfix"
)

// screen is what postscreen(8) does beside asking lists.
func (m *postfixImport) screen() {
	if !m.screens {
		for _, name := range m.c.Names() {
			if strings.HasPrefix(name, "postscreen_") && !m.seen[name] {
				p, _ := m.get(name)
				if name != "postscreen_dnsbl_sites" {
					m.leave(p.At.String(), written(p), "postscreen is not in master.cf, so this counts for nothing", "")
				}
			}
		}
		return
	}
	if p, set := m.get("postscreen_access_list"); set {
		for _, i := range m.c.List("postscreen_access_list") {
			if i.Table == nil {
				continue // permit_mynetworks
			}
			if i.Table.Err != nil {
				m.leave(i.At.String(), "postscreen_access_list: "+i.Text, "cannot be read: "+i.Table.Why(), "write its entries in checks.access.client")
				continue
			}
			n := 0
			for k := range i.Table.Entries {
				e := &i.Table.Entries[k]
				if e.Key == "if" || e.Key == "endif" || strings.EqualFold(e.Value, "dunno") {
					continue
				}
				if m.accessEntry(postfix.Restriction{Name: "check_client_access"}, i.Table, e, kindReverse) {
					n++
				}
			}
			m.taken(p.At.String(), "postscreen_access_list: "+i.Text, number(n)+" entries in checks.access.client")
		}
	}
	if p, set := m.get("postscreen_greet_action"); set && p.Value != "ignore" {
		m.taken(p.At.String(), written(p), "checks.pregreet")
	}
	for _, name := range []string{"postscreen_pipelining_enable", "postscreen_non_smtp_command_enable", "postscreen_bare_newline_enable"} {
		if p, set := m.get(name); set && strings.EqualFold(p.Value, "yes") {
			m.taken(p.At.String(), written(p), "checks.pipelining, checks.verb and checks.newline; in the session, so that no client has to come back")
		}
	}
}

// filters are programs that see the mail.
func (m *postfixImport) filters() {
	for _, name := range []string{"smtpd_milters", "content_filter", "smtpd_proxy_filter"} {
		p, set := m.get(name)
		if !set || p.Value == "" {
			continue
		}
		for _, w := range strings.FieldsFunc(p.Value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '{' || r == '}' }) {
			if strings.Contains(w, ":") {
				m.filter(p, name+": "+w, strings.ToLower(w))
			}
		}
	}
	for _, name := range []string{"milter_default_action", "milter_protocol", "milter_connect_timeout", "milter_command_timeout", "milter_content_timeout", "non_smtpd_milters", "receive_override_options"} {
		m.seen[name] = true
	}
	for _, name := range []string{"header_checks", "mime_header_checks", "nested_header_checks", "body_checks", "milter_header_checks", "smtp_header_checks", "smtp_body_checks"} {
		if p, set := m.get(name); set && p.Value != "" {
			m.leave(p.At.String(), written(p), "patterns over headers and bodies have no counterpart", "SpamAssassin's own rules (local.cf) can do it: spamd is asked about each message")
		}
	}
}

func (m *postfixImport) filter(p postfix.Param, what, at string) {
	known := func(marks ...string) bool {
		for _, mark := range marks {
			if strings.Contains(at, mark) {
				return true
			}
		}
		return false
	}
	switch {
	case known("clamav", "clamsmtp", ":10026"):
		m.changed(p.At.String(), what, "checks.clamav, which asks clamd itself", "", "look that clamav.addresses in gatepost.toml is where clamd listens")
	case known("opendkim", ":8891", ":12301", "dkimpy"):
		m.changed(p.At.String(), what, "checks.dkim", "signatures are verified; mail that goes out is signed by the outbound path", "")
	case known("opendmarc", ":8893"):
		m.changed(p.At.String(), what, "checks.dmarc", "", "")
	case known("openarc"):
		m.changed(p.At.String(), what, "checks.arc", "", "")
	case known("spamass", "spamd", ":783"):
		m.changed(p.At.String(), what, "checks.spamassassin, which asks spamd itself", "", "look that spamassassin.addresses in gatepost.toml is where spamd listens")
	case known("rspamd", ":11332"):
		m.leave(p.At.String(), what, "rspamd is not asked; SpamAssassin is", "run spamd beside it, or keep rspamd at the internal mail server")
	case known("amavis", ":10024"):
		m.leave(p.At.String(), what, "amavis is not needed: clamd and spamd are asked in the session, before the mail is accepted", "carry over its lists and thresholds by hand ([thresholds], checks.access)")
	default:
		m.leave(p.At.String(), what, "a milter or filter program is not asked", "")
	}
}

// rest tells of every parameter that nothing has looked at.
func (m *postfixImport) rest() {
	for _, name := range m.c.Names() {
		if m.seen[name] {
			continue
		}
		p := m.c.Params[name]
		why, do := about(name)
		if why == "" {
			m.taken(p.At.String(), written(p), do)
			continue
		}
		m.leave(p.At.String(), written(p), why, do)
	}
}

// about says of a parameter that is not mapped why; without a why, what always holds here.
func about(name string) (why, do string) {
	switch name {
	case "smtpd_helo_required", "disable_vrfy_command", "strict_rfc821_envelopes", "smtpd_reject_unlisted_recipient", "smtpd_delay_reject",
		"smtpd_forbid_bare_newline", "smtpd_forbid_unauth_pipelining", "smtpd_tls_auth_only", "smtputf8_enable", "smtpd_tls_received_header":
		return "", "it is always so here"
	case "maximal_queue_lifetime", "bounce_queue_lifetime", "minimal_backoff_time", "maximal_backoff_time", "queue_run_delay", "delay_warning_time":
		return "mail is passed on before it is accepted, and nothing is queued", `write when_down = "spool" in a route that shall keep mail while its next hop is away (docs/spool.md)`
	case "compatibility_level", "config_directory", "queue_directory", "command_directory", "daemon_directory", "data_directory", "mail_owner",
		"setgid_group", "sendmail_path", "newaliases_path", "mailq_path", "html_directory", "manpage_directory", "readme_directory", "sample_directory",
		"shlib_directory", "meta_directory", "debug_peer_level", "debugger_command", "biff", "default_database_type", "mail_version", "inet_protocols",
		"maillog_file", "syslog_name", "unknown_local_recipient_reject_code", "mail_name", "smtpd_sasl_auth_enable", "append_dot_mydomain":
		return "is about Postfix itself or its machine", ""
	}
	for _, g := range [...]struct{ prefixes, why, do string }{
		{"mailbox_ home_mailbox mail_spool_ local_ alias_ virtual_uid virtual_gid virtual_mailbox_ virtual_minimum_ forward_ luser_ recipient_canonical_ prepend_delivered allow_mail_to dovecot_ owner_request_ expand_owner",
			"is about mailboxes of the machine, and Gatepost has none", ""},
		{"smtp_bind_ smtp_ lmtp_ default_ relay_ sender_dependent_ tls_ tlsproxy_ smtpd_sasl_ broken_sasl_ smtpd_tls_ cyrus_ initial_destination_",
			"is about how Postfix itself sends or encrypts", ""},
		{"canonical_ sender_canonical_ masquerade_ append_ remote_header_ local_header_ generic_ rewrite_ always_bcc recipient_bcc_ sender_bcc_ relocated_",
			"rewrites or copies mail, which is the internal mail server's part", "set it up there"},
		{"address_verify_ unverified_ unknown_ reject_ access_map_ relay_domains_reject maps_rbl_ non_fqdn_ invalid_ multi_recipient_ defer_",
			"words or times of refusals and of call-ahead are Gatepost's own", ""},
		{"postscreen_ smtpd_", "is a detail of postscreen or smtpd that has no key here", ""},
		{"bounce_ notify_ 2bounce_ error_notice_ double_bounce_ queue_ qmgr_ hash_queue_ process_ service_ ipc_ max_ fork_ stale_ transport_retry mime_ body_ header_ message_ line_ milter_ proxy_ swap_ debug_ undisclosed_",
			"is about Postfix's queue and processes", ""},
	} {
		for _, p := range strings.Fields(g.prefixes) {
			if strings.HasPrefix(name, p) {
				return g.why, g.do
			}
		}
	}
	return "is not known to this import, or is a name that others use", "look what uses it"
}
