package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// dovecotConf is its configuration: LMTP alone, and mailboxes that a file names.
const dovecotConf = `base_dir = %[1]s/run
log_path = %[1]s/log/mainlog
protocols = lmtp
listen = 127.0.0.1
ssl = no
hostname = %[2]s
postmaster_address = postmaster@%[2]s
default_internal_user = %[3]s
default_internal_group = %[3]s
default_login_user = nobody
first_valid_uid = 1
mail_location = maildir:~
mail_plugins = quota
default_process_limit = 50
default_client_limit = 1000
service anvil {
  client_limit = 1003
}
service auth {
  client_limit = 2000
}
service lmtp {
  process_limit = 50
  inet_listener lmtp {
    address = 127.0.0.1
    port = %[4]d
  }
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/mailboxes
}
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=0
}
`

// StartDovecot starts a Dovecot that takes mail by LMTP, with its state in dir, and waits until it greets. It needs root,
// because it runs as several users.
func StartDovecot(ctx context.Context, dir string, o PeerOptions) (*Peer, error) {
	path, err := program("dovecot", "dovecot-lmtpd")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("dovecot: %w", errNotRoot)
	}
	p, err := newPeer(dir, "dovecot")
	if err != nil {
		return nil, err
	}
	p.LMTP = true
	p.assign(o.Mailboxes)
	owner, err := ownerNamed("dovecot")
	if err != nil {
		return nil, fmt.Errorf("dovecot: %w; install Debian's package dovecot-core (scripts/install does)", err)
	}
	if err := owner.makeDirs(filepath.Join(dir, "mail")); err != nil {
		return nil, err
	}
	port, own, err := portOr(o.Port)
	if err != nil {
		return nil, err
	}
	p.Addr = port.Addr()
	err = p.write("mailboxes", listed(o.Mailboxes, func(address string) string {
		line := fmt.Sprintf("::%d:%d::%s::", owner.uid, owner.gid, p.mailboxes[address])
		if slices.Contains(o.Full, address) {
			line += "userdb_quota_rule=*:bytes=1"
		}
		return line
	}))
	if err == nil {
		err = p.write("dovecot.conf", fmt.Sprintf(dovecotConf, dir, p.Name, "dovecot", port.Number))
	}
	if err == nil {
		err = p.run(command{name: "dovecot", path: path, args: []string{"-F", "-c", filepath.Join(dir, "dovecot.conf")}}, own)
	}
	if err != nil {
		release(own)
		return nil, fmt.Errorf("dovecot: %w", err)
	}
	return p, p.awaitReady(ctx, p.greets)
}
