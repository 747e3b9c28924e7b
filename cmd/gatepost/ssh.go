package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"gatepost/gateway/journal"
	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/sshd"
)

// sshHostKey is the file of the key by which clients of SSH know this host, in the folder of keys.
const sshHostKey = "ssh_host_ed25519.key"

// sshDoor lets users of the console in by their keys, and runs commands of theirs. Nobody behind it is at this machine: a command
// asks operations, with the rights that its user has at that moment, and no file.
type sshDoor struct {
	users   *accounts.Accounts
	guesses *accounts.Guesses
	surface *control.Surface
	handler http.Handler
	groups  []cli.Group // that are offered
	log     *slog.Logger
}

// openSSHKey reads or makes the host key, where the document wants SSH.
func (d *daemon) openSSHKey() (err error) {
	if len(d.bootstrap.Web.SSH) > 0 {
		d.users.hostKey, err = sshd.HostKey(filepath.Join(d.bootstrap.StateDir, "keys", sshHostKey))
	}
	return err
}

// sshFingerprint is that of the host key; "" where there is none.
func (p *people) sshFingerprint() string {
	if p.hostKey == nil {
		return ""
	}
	return ssh.FingerprintSHA256(p.hostKey.PublicKey())
}

// addresses are where the listeners are, and by which key that of SSH is known.
func (d *daemon) addresses(all listeners) api.Addresses {
	a := addressesOf(all)
	if len(a.SSH) > 0 {
		a.SSHKey = d.users.sshFingerprint()
	}
	return a
}

// newSSH makes the door, over what the daemon knows.
func (d *daemon) newSSH() *sshd.Server {
	s := &control.Surface{Operations: d.surface.Operations, Audit: d.surface.Audit, Log: d.log}
	return &sshd.Server{Host: newSSHDoor(d.users.Accounts, s), Key: d.users.hostKey, Networks: d.bootstrap.Web.SSHNetworks, Log: d.log,
		Prompt: "gatepost> ", Greeting: "Gatepost " + version + " on " + d.bootstrap.Hostname + ". help lists the commands, exit ends."}
}

func newSSHDoor(users *accounts.Accounts, s *control.Surface) *sshDoor {
	return &sshDoor{users: users, guesses: accounts.NewGuesses(), surface: s, handler: s.Handler(""), groups: offered(s.Operations), log: s.Log}
}

// stays are commands that ask operations, and that are not offered by SSH: they read a file of this machine or ask at its terminal, or
// what they give would outlive the key by which somebody came in.
func stays() []string {
	return []string{"appliance reset", "recipients import", "ssh key add", "token add"}
}

// offered are the commands that ask an operation of the list, and no file. What is uploaded has the time of a connection, of which a
// question in the process has none.
func offered(operations []control.Operation) (out []cli.Group) {
	asks := map[string]bool{"version": true}
	for i := range operations {
		asks[operations[i].Name] = !operations[i].Streams() && !operations[i].Upload
	}
	for _, name := range stays() {
		delete(asks, name)
	}
	without := strings.NewReplacer(" [--config PATH]", "", "[--config PATH] ", "", "[--config PATH]", "")
	for _, g := range groups() {
		g.Commands = slices.DeleteFunc(slices.Clone(g.Commands), func(c cli.Command) bool { return !asks[c.Words] && !c.Asks })
		for i := range g.Commands {
			g.Commands[i].Args = without.Replace(g.Commands[i].Args)
		}
		if len(g.Commands) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// Try implements sshd.Host.
func (h *sshDoor) Try(name string, from netip.Addr) bool {
	return h.guesses.Take(accounts.Name(name), from) == 0
}

// Knows implements sshd.Host.
func (h *sshDoor) Knows(ctx context.Context, name string, key []byte, from netip.Addr) sshd.Guest {
	who, k, err := h.users.FromSSHKey(ctx, name, key, from)
	if err != nil {
		if !accounts.Is(err, accounts.Wrong) {
			h.log.Warn("ssh: whose key it is cannot be known", "error", err)
		}
		return nil
	}
	return &sshGuest{door: h, who: who, key: k}
}

// Entered implements sshd.Host.
func (h *sshDoor) Entered(ctx context.Context, g sshd.Guest) bool {
	in := g.(*sshGuest)
	if err := h.users.UsedSSHKey(ctx, in.key, in.who.Address); err != nil {
		h.log.Warn("ssh: nobody is let in", "error", err)
		return false
	}
	h.guesses.Forgive(in.who.Name, in.who.Address, true)
	h.tell(ctx, in.who, "login", in.how(), "")
	return true
}

// Failed implements sshd.Host. A name that nobody has may be a password in the wrong field, and is not kept.
func (h *sshDoor) Failed(name string, from netip.Addr) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	u, err := h.users.User(ctx, name)
	if err != nil {
		u.Name = ""
	}
	h.tell(ctx, access.Actor{Name: u.Name, Via: access.BySSH, Address: from}, "login failed", "", "key")
}

// tell tells the log, and the audit log, who came in, who went, and who did not come in.
func (h *sshDoor) tell(ctx context.Context, who access.Actor, what, how, failed string) {
	level := slog.LevelInfo
	if failed != "" {
		level = slog.LevelWarn
	}
	who.Via = access.BySSH
	h.log.Log(ctx, level, "ssh: "+what, "user", who.Name, "address", who.Address, "how", how, "error", failed)
	if h.surface.Audit != nil {
		h.surface.Audit(context.WithoutCancel(ctx), control.Entry{Actor: who, Operation: what, Change: control.Change{Object: who.Name, After: map[string]string{"how": how}}, Error: failed})
	}
}

// sshGuest is somebody who has, or offers, a key.
type sshGuest struct {
	door *sshDoor
	who  access.Actor
	key  accounts.SSHKey
}

func (g *sshGuest) how() string { return "key " + g.key.Name + " " + g.key.Fingerprint }

// now is who he is by now.
func (g *sshGuest) now(ctx context.Context) (access.Actor, error) {
	who, k, err := g.door.users.FromSSHKey(ctx, g.who.Name, g.key.Data, g.who.Address)
	if err == nil && k.ID != g.key.ID {
		err = &accounts.Refusal{Kind: accounts.Wrong, Message: "the key is another by now"}
	}
	return who, err
}

// Still implements sshd.Guest.
func (g *sshGuest) Still(ctx context.Context) bool {
	_, err := g.now(ctx)
	return !accounts.Is(err, accounts.Wrong)
}

// Left implements sshd.Guest.
func (g *sshGuest) Left() { g.door.tell(context.Background(), g.who, "logout", g.how(), "") }

// Run implements sshd.Guest.
func (g *sshGuest) Run(ctx context.Context, c *sshd.Command) int {
	e := cli.Env{Out: c.Out, Err: c.Err, In: c.In, Apart: true, Sections: sections}
	who, err := g.now(ctx)
	if err != nil {
		return cli.Complain(e, "ssh", storeAway(err))
	}
	e.Remote = control.NewLocal(g.door.handler, who, g.door.log)
	words := c.Words
	if len(words) > 0 && strings.HasPrefix(words[0], "-") && !asksForHelp(words[:1]) {
		fmt.Fprintf(e.Err, "gatepost: %q stands before the command, where nothing stands here\n", words[0])
		return cli.Usage
	}
	return dispatch(ctx, e, g.door.groups, words)
}

// sshInstruments adds the door to the metrics.
func sshInstruments(s *sshd.Server, m *journal.Metrics) {
	m.Gauge("ssh_connections", "Open connections by SSH.", func() float64 { open, _ := s.Counts(); return float64(open) })
	m.Counter("ssh_turned_away_total", "Connections by SSH that were too many, in all or of one client, or from elsewhere than web.ssh_networks.", func() float64 { _, turned := s.Counts(); return float64(turned) })
}

// elsewhere reports whether arguments begin with a command that works at the machine only.
func elsewhere(args []string) bool {
	return slices.ContainsFunc(commands(), func(c cli.Command) bool {
		n := len(strings.Fields(c.Words))
		return len(args) >= n && strings.Join(args[:n], " ") == c.Words
	})
}
