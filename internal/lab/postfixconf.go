package lab

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// postfixFiles say where Postfix's programs lie and which names it runs under.
type postfixFiles struct {
	daemons   string // smtpd, master and the like
	commands  string // postqueue, sendmail and the like
	libraries string // for LD_LIBRARY_PATH; empty when it is installed
	owner     string // mail_owner
	group     string // setgid_group
}

// findPostfix finds an installed or unpacked Postfix.
func findPostfix(root string) (postfixFiles, error) {
	if root == "" {
		root = os.Getenv("GATEPOST_POSTFIX_ROOT")
	}
	f := postfixFiles{owner: "postfix", group: "postdrop"}
	f.daemons = filepath.Join("/", root, "usr/lib/postfix/sbin")
	f.commands = filepath.Join("/", root, "usr/sbin")
	if _, err := os.Stat(filepath.Join(f.daemons, "master")); err != nil {
		return f, fmt.Errorf("postfix: not found in %s; install Debian's package postfix (scripts/install does)", f.daemons)
	}
	if root != "" && root != "/" {
		f.libraries = filepath.Join(root, "usr/lib/postfix")
	}
	if _, err := user.Lookup(f.owner); err == nil {
		return f, nil
	}
	// Unpacked only: no user was made for it. These two of Debian's base system own
	// nothing and are never logged in to, which is what Postfix asks of them.
	f.owner, f.group = "irc", "voice"
	if _, err := user.Lookup(f.owner); err != nil {
		return f, fmt.Errorf("postfix: neither user postfix nor user %s exists", f.owner)
	}
	return f, nil
}

// makeQueue makes the folders that postfix's own set-up would make.
func (p *Postfix) makeQueue() error {
	owner, err := user.Lookup(p.files.owner)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	group, err := user.LookupGroup(p.files.group)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	uid, err1 := strconv.Atoi(owner.Uid)
	gid, err2 := strconv.Atoi(group.Gid)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("postfix: odd ids %s and %s", owner.Uid, group.Gid)
	}
	type folder struct {
		name     string
		mode     os.FileMode
		uid, gid int
	}
	folders := []folder{
		{"etc", 0o755, 0, 0}, {"mail", 0o755, uid, 0}, {"data", 0o700, uid, 0}, {"spool", 0o755, 0, 0},
		{"spool/pid", 0o755, 0, 0},
		{"spool/maildrop", 0o730 | os.ModeSticky, uid, gid},
		{"spool/public", 0o710 | os.ModeSetgid, uid, gid},
	}
	for _, name := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"} {
		folders = append(folders, folder{"spool/" + name, 0o700, uid, 0})
	}
	for _, f := range folders {
		path := filepath.Join(p.dir, f.name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
		// Owner first: a change of owner clears the set-group-id bit.
		if err := os.Chown(path, f.uid, f.gid); err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
	}
	return nil
}

// writeMailboxes writes the table of addresses and their Maildirs. A folder is
// named by its number: a local part may have octets that no file name may.
func (p *Postfix) writeMailboxes(addresses []string) error {
	var table strings.Builder
	for i, address := range addresses {
		name := fmt.Sprintf("%03d/", i)
		p.mailboxes[address] = filepath.Join(p.dir, "mail", name)
		fmt.Fprintf(&table, "%s %s\n", address, name)
	}
	if err := os.WriteFile(filepath.Join(p.configDir(), "mailboxes"), []byte(table.String()), 0o644); err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	return nil
}

// domains are the domains of the addresses.
func domains(addresses []string) []string {
	seen := make(map[string]bool)
	var out []string
	for _, address := range addresses {
		if domain := address[strings.LastIndexByte(address, '@')+1:]; !seen[domain] {
			seen[domain] = true
			out = append(out, domain)
		}
	}
	sort.Strings(out)
	return out
}

// writeConfig writes main.cf and master.cf.
func (p *Postfix) writeConfig(o PostfixOptions) error {
	main, err := p.mainSettings(o)
	if err != nil {
		return err
	}
	text := strings.Join(merge(main, o.Settings), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(p.configDir(), "main.cf"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	if err := os.WriteFile(filepath.Join(p.configDir(), "master.cf"), []byte(p.services(o)), 0o644); err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	return nil
}

func (p *Postfix) mainSettings(o PostfixOptions) ([]string, error) {
	owner, err := user.Lookup(p.files.owner)
	if err != nil {
		return nil, fmt.Errorf("postfix: %w", err)
	}
	s := []string{
		"compatibility_level = 3.6",
		"queue_directory = " + filepath.Join(p.dir, "spool"),
		"data_directory = " + filepath.Join(p.dir, "data"),
		"daemon_directory = " + p.files.daemons,
		"command_directory = " + p.files.commands,
		"maillog_file = " + p.MailLog(),
		"maillog_file_prefixes = " + p.dir,
		"mail_owner = " + p.files.owner,
		"setgid_group = " + p.files.group,
		"default_privs = nobody",
		"import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG LANG=C LD_LIBRARY_PATH",
		"export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH",
		"default_database_type = texthash",
		"myhostname = " + o.Name,
		"mydestination =",
		"mynetworks = 127.0.0.0/8",
		"inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4",
		"alias_maps =",
		"local_recipient_maps =",
		"disable_dns_lookups = yes",
		"smtpd_peername_lookup = no",
		"smtputf8_enable = yes",
		"message_size_limit = " + strconv.Itoa(64<<20),
		"mailbox_size_limit = 0",
		"virtual_mailbox_limit = 0",
		"virtual_mailbox_base = " + filepath.Join(p.dir, "mail"),
		"virtual_mailbox_domains = " + strings.Join(domains(o.Mailboxes), " "),
		"virtual_mailbox_maps = texthash:" + filepath.Join(p.configDir(), "mailboxes"),
		"virtual_uid_maps = static:" + owner.Uid,
		"virtual_gid_maps = static:" + owner.Gid,
		"virtual_minimum_uid = 1",
		// Refused while the client waits; nothing is taken and bounced later.
		"smtpd_relay_restrictions = reject_unauth_destination",
		"unknown_virtual_mailbox_reject_code = 550",
		"smtpd_reject_unlisted_recipient = yes",
		"smtpd_error_sleep_time = 0",
		"smtpd_hard_error_limit = 1000",
		"smtpd_client_connection_count_limit = 0",
		"default_process_limit = 50",
		"in_flow_delay = 0",
		// Deferred mail is tried again soon, and a test may Flush.
		"queue_run_delay = 5s", "minimal_backoff_time = 5s", "maximal_backoff_time = 20s",
	}
	if o.Relay != "" {
		host, port, err := net.SplitHostPort(o.Relay)
		if err != nil {
			return nil, fmt.Errorf("postfix: relay: %w", err)
		}
		s = merge(s, []string{
			fmt.Sprintf("relayhost = [%s]:%s", host, port), "smtpd_relay_restrictions = permit_mynetworks, reject",
			"smtp_tls_security_level = may", "smtp_destination_concurrency_limit = 10",
		})
	}
	if o.TLS {
		s = append(s, "smtpd_tls_security_level = may", "smtpd_tls_loglevel = 1",
			"smtpd_tls_chain_files = "+p.keyFile()+" "+p.Certificate)
	}
	return s, nil
}

// services is master.cf: the services that receiving, delivering and sending
// need, none in a chroot.
func (p *Postfix) services(o PostfixOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s inet n - n - - smtpd\n", p.Addr)
	for _, option := range o.Smtpd {
		fmt.Fprintf(&b, "  -o %s\n", option)
	}
	b.WriteString(`postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`)
	for _, line := range o.Services {
		b.WriteString(line + "\n")
	}
	return b.String()
}
