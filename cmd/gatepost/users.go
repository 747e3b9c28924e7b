package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"gatepost/cmd/gatepost/user"
	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/audit"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/store/admin"
)

// accountsKey is the file of the key that seals secrets of second factors, which must not be where the users are. All nodes that
// share users have the same.
const accountsKey = "accounts.key"

// people are those who may log in.
type people struct {
	*accounts.Accounts
	hostKey   ssh.Signer                 // by which clients of SSH know this host; nil where nobody comes in so
	logins    logins                     // who proves others
	ldapState atomic.Pointer[loginState] // of the directory; nil before it was asked
}

// openUsers makes the accounts over control data that may not be there yet.
func (d *daemon) openUsers() error {
	if err := d.openSSHKey(); err != nil {
		return err
	}
	name := filepath.Join(d.bootstrap.StateDir, accountsKey)
	key, err := keyFile(name, accounts.KeySize, "; the second factors of all users are void then, and gatepost user reset --second lets one in again")
	if err != nil {
		return fmt.Errorf("key of the accounts: %w", err)
	}
	if d.users.logins, err = makeLogins(d.bootstrap, key, d.log); err != nil {
		return err
	}
	d.users.Accounts, err = accounts.New(accounts.Options{Store: d.data.Accounts(), Key: key, Issuer: "Gatepost " + d.bootstrap.Hostname, Site: d.consoleSite, Notice: d.noticeLogin,
		Outside: d.users.logins.outside(&d.bootstrap.Login)})
	return err
}

// consoleSite is where browsers reach the console: at the ports where it listens, and at that of https, where something stands before
// it. Passkeys are bound to it.
func (d *daemon) consoleSite() accounts.Site {
	name := strings.ToLower(d.bootstrap.Web.ConsoleName)
	s := accounts.Site{Name: name, Origins: []string{"https://" + name}}
	for _, at := range d.where.Console {
		if _, port, err := net.SplitHostPort(at); err == nil {
			s.Origins = append(s.Origins, "https://"+net.JoinHostPort(name, port))
		}
	}
	return s
}

// noticeLogin tells the log, and the audit log, who came in, and who did not.
func (d *daemon) noticeLogin(ctx context.Context, e accounts.Event) {
	level := slog.LevelInfo
	if e.Error != "" {
		level = slog.LevelWarn
	}
	d.log.Log(ctx, level, "console: "+e.What, "user", e.User, "address", e.Address, "how", e.How, "error", e.Error)
	if s := d.surface; s != nil && s.Audit != nil {
		s.Audit(context.WithoutCancel(ctx), control.Entry{Actor: access.Actor{Name: e.User, Via: access.BySession, Address: e.Address}, Operation: e.What,
			Change: control.Change{Object: e.User, After: map[string]string{"how": e.How}}, Error: e.Error})
	}
}

// How often what is over is removed, and how soon a store that does not answer is asked again.
const (
	sweepEvery = 10 * time.Minute
	sweepAgain = 10 * time.Second
)

// tendUsers tells the code by which the first owner comes in, while there is no user, and removes sessions, codes and tokens that
// are over.
func (d *daemon) tendUsers(ctx context.Context) {
	told := false
	for {
		wait := sweepEvery
		err := d.data.Ready(ctx)
		if err == nil && !told && d.bootstrap.Web.Console.IsValid() {
			err = d.tellSetup(ctx)
			told = err == nil
		}
		if err == nil {
			err = d.users.Sweep(ctx)
		}
		if err != nil {
			wait = sweepAgain // what ails the store is told by who tends it
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// tellSetup writes the code where admins of the machine read.
func (d *daemon) tellSetup(ctx context.Context) error {
	code, err := d.users.SetupCode(ctx)
	if err == nil && code != "" {
		d.log.Info("console: there is no user yet; the first owner comes in by this code, at /setup. gatepost user setup-code makes another", "code", code)
	}
	return err
}

// userOperations are those about users, tokens and sessions.
func (d *daemon) userOperations() []control.Operation {
	return (&user.Desk{Accounts: d.users.Accounts, Away: storeAway, HostKey: d.users.sshFingerprint}).Operations()
}

// storeAway words an error of control data for whoever asks.
func storeAway(err error) error {
	if errors.Is(err, admin.ErrAway) || errors.Is(err, admin.ErrNewer) {
		return &control.Fault{Status: http.StatusServiceUnavailable, Message: "the store of users does not answer", Hint: "gatepost status tells why; mail goes on"}
	}
	return err
}

// userCommands are user, token and session.
func userCommands() []cli.Command {
	return (&user.Terminal{Offline: usersOffline}).Commands()
}

// usersOffline opens the users where no daemon runs, for whoever may read the state folder. It makes no file: one of root's would
// keep the daemon out.
func usersOffline(ctx context.Context, e cli.Env, path string) (*control.Surface, func(), error) {
	c := e.Load(path)
	if c == nil {
		return nil, nil, errors.New("the configuration cannot be used")
	}
	o, err := dataOptions(c.Bootstrap, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(o.Path); o.URL == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("there are no users: no daemon has run with %s", c.Bootstrap.StateDir)
	}
	db, err := admin.Open(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	// What is done here seals nothing, and opens nothing that is sealed.
	a, err := accounts.New(accounts.Options{Store: db.Accounts(), Key: make([]byte, accounts.KeySize)})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	noting := func(ctx context.Context, x control.Entry) {
		entry := audit.Of(x)
		entry.Node = c.Bootstrap.NodeName()
		if _, err := db.Audit().Append(ctx, []audit.Entry{entry}); err != nil {
			fmt.Fprintf(e.Err, "gatepost: the audit log does not have what was done: %v\n", err)
		}
	}
	return &control.Surface{Operations: (&user.Desk{Accounts: a, Away: storeAway}).Operations(), Audit: noting}, func() {
		if err := db.Close(); err != nil {
			fmt.Fprintf(e.Err, "gatepost: %v\n", err)
		}
	}, nil
}
