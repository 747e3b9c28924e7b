// Package backups is "gatepost backup" of the command line: it makes backups, lists and verifies them, and puts one in the place of what is
// there. It works on the files of this machine, whether the daemon runs or not; what replaces them needs it stopped.
//
// What is in a backup and how it is put in place stands in appliance/backup. No RFC applies.
package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gatepost/appliance/backup"
	"gatepost/appliance/settings"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/store"
	"gatepost/internal/store/admin"
)

// Shop is what the commands are made of that the daemon has too.
type Shop struct {
	Version string
	// Lock takes the state folder: it fails while a daemon runs with it.
	Lock func(dir string) (io.Closer, error)
	// Named are the files that the documents name.
	Named func(c *config.Config, file string) []string
}

// Commands are those of gatepost backup.
func (s Shop) Commands() []cli.Command {
	return []cli.Command{
		{Words: "backup create", Args: "[--to FILE|FOLDER] [--with quarantine,log] [--recipient age1...] [--passphrase-file FILE] [--config PATH] [--json]",
			Doc: "write all that this gateway needs to be made anew into one encrypted file, while the daemon runs or not", Run: s.create, Note: "FILE of a passphrase: its first line; - is the standard input"},
		{Words: "backup run", Args: "[--config PATH] [--json]", Doc: "make a backup as [backup] of gatepost.toml says, bring it to each target, and remove the oldest there, as the daemon does", Run: s.run},
		{Words: "backup status", Args: "[--config PATH] [--json]", Doc: "show what the running daemon says of backups: each target's last good one, when the next is due, which lie on this machine", Run: asking(statusQuestion())},
		{Words: "backup start", Args: "[--config PATH] [--json]", Doc: "have the running daemon make a backup now, in the background", Run: asking(startQuestion())},
		{Words: "backup list", Args: "[FOLDER] [--config PATH] [--json]", Doc: "list the backups in a folder, by default backups/ in the state folder", Run: s.list},
		{Words: "backup verify", Args: "FILE [--identity FILE] [--passphrase-file FILE] [--json]", Doc: "read a backup from beginning to end, and say what is in it and whether this program can use it", Run: s.verify},
		{Words: "backup restore", Args: "FILE [--identity FILE] [--passphrase-file FILE] [--keep-config] [--config PATH] [--json]",
			Doc: "put a backup in the place of what is here, which is kept aside; the daemon is stopped before", Run: s.restore},
		{Words: "backup resume", Args: "[--config PATH]", Doc: "bring a restore to its end that was cut off", Run: s.resume},
		{Words: "backup key", Args: "--out FILE", Doc: "make a pair of keys: the private one, which opens backups and belongs elsewhere, and the public one for --recipient", Run: makeKey},
	}
}

// home is where things are on this machine.
type home struct {
	b    *config.Bootstrap
	file string // gatepost.toml
}

func at(e cli.Env, path string) *home {
	b, problems := config.LoadBootstrap(path)
	if b == nil {
		cli.Tell(e, problems)
		return nil
	}
	return &home{b, config.BootstrapIn(path)}
}

// folder is that of the documents.
func (h *home) folder() string { return filepath.Dir(h.file) }

// plan is what is backed up of this machine.
func (s Shop) plan(e cli.Env, h *home, path string, with []string) *backup.Plan {
	p := &backup.Plan{Version: s.Version, Host: h.b.Hostname, State: h.b.StateDir, Config: h.folder(), With: with, Snapshot: snapshot,
		Without: append(settings.Trials(h.b.StateDir), h.b.Body.Dir, h.b.Spool.Dir), Named: []string{h.b.VaultKey}, Elsewhere: elsewhere(h.b)}
	if c := e.Load(path); c != nil { // else its problems were told, and what can be saved is
		p.Named = append(p.Named, s.Named(c, h.file)...)
	}
	return p
}

// elsewhere are the stores that are the operator's own, and the mail that waits.
func elsewhere(b *config.Bootstrap) []string {
	out := []string{"mail that waits: " + b.Spool.Dir + " is not in it, since a copy would be delivered twice"}
	if b.Store.URL != "" {
		out = append(out, "control data (policy versions, users, audit log): "+place(b.Store.URL)+" is backed up there")
	}
	if b.Store.Log != "" {
		out = append(out, "message log: "+place(b.Store.Log)+" is backed up there")
	}
	if b.Redis.Used() {
		out = append(out, "Redis: what nodes share is not in it, and learned anew")
	}
	return out
}

// place is a URL without what may be secret.
func place(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "PostgreSQL"
	}
	return "PostgreSQL at " + u.Host + u.Path
}

// snapshot copies a database, and tells its migrations.
func snapshot(ctx context.Context, from, to string) ([]int, error) {
	version, err := store.Snapshot(ctx, from, to)
	if err != nil {
		return nil, err
	}
	if filepath.Base(from) == controlData {
		return admin.Applied(ctx, to)
	}
	return store.Schemas()[:min(version, len(store.Schemas()))], nil
}

// controlData is the file that has migrations of its own.
const controlData = "admin.db"

// known are the migrations that this program knows.
func known(member string) []int {
	if member == "state/"+controlData {
		out, _ := admin.Migrations() // they are part of the program
		return out
	}
	return store.Schemas()
}

// lock reads for whom a backup is.
func lock(recipients []string, passphrase string) (backup.Lock, error) {
	switch {
	case len(recipients) > 0 && passphrase != "":
		return backup.Lock{}, errors.New("--recipient and --passphrase-file cannot be used together")
	case passphrase != "":
		text, err := secret(passphrase, "passphrase")
		if err != nil {
			return backup.Lock{}, err
		}
		return backup.LockBy(text)
	case len(recipients) == 0:
		return backup.Lock{}, errors.New("say who can open it: --recipient age1... (gatepost backup key makes a pair) or --passphrase-file FILE")
	}
	return backup.LockTo(recipients)
}

// key reads what opens a backup.
func key(identity, passphrase string) (backup.Key, error) {
	switch {
	case (identity != "") == (passphrase != ""):
		return backup.Key{}, errors.New("say what opens it: --identity FILE with the private key, or --passphrase-file FILE")
	case passphrase != "":
		text, err := secret(passphrase, "passphrase")
		if err != nil {
			return backup.Key{}, err
		}
		return backup.KeyBy(text)
	}
	f, err := os.Open(identity)
	if err != nil {
		return backup.Key{}, err
	}
	defer f.Close()
	return backup.KeysOf(f)
}

// secret is the first line of a file; - is the standard input. what is what should stand there.
func secret(name, what string) (string, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return "", err
		}
		defer f.Close()
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s: its first line, the %s, is empty", name, what)
	}
	return line, nil
}
