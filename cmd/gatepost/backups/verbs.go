package backups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/appliance/backup"
	"gatepost/internal/cli"
)

// Told is what is told of a backup.
type Told struct {
	File    string    `json:"file"`
	Host    string    `json:"host"`
	Time    time.Time `json:"time"`
	Version string    `json:"version,omitempty"`
	Octets  int64     `json:"octets"` // of the file
	Inside  int64     `json:"inside,omitempty"`
	Files   int       `json:"files,omitempty"`
	With    []string  `json:"with,omitempty"`
	Left    []string  `json:"left,omitempty"`
}

func told(file string, m *backup.Manifest) *Told {
	out := &Told{File: file, Host: m.Host, Time: m.Time, Version: m.Version, Inside: m.Octets(), Files: len(m.Members), With: m.With, Left: m.Left}
	if info, err := os.Stat(file); err == nil {
		out.Octets = info.Size()
	}
	return out
}

// show prints it for people.
func (t *Told) show(w io.Writer, what string) {
	with := "without the log and quarantined mail"
	if len(t.With) > 0 {
		with = "with " + strings.Join(t.With, " and ")
	}
	fmt.Fprintf(w, "%s: %s of %s by version %s: %d files, %d octets of %d, %s\n", what, cli.Stamp(t.Time), cli.Shown(t.Host, 255), cli.Shown(t.Version, 60), t.Files, t.Octets, t.Inside, cli.Shown(with, 60))
	for _, l := range t.Left {
		fmt.Fprintf(w, "  not in it: %s\n", cli.Shown(l, 300))
	}
}

func (s Shop) create(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "backup create")
	to, with, passphrase := f.String("to", "", ""), f.String("with", "", ""), f.String("passphrase-file", "", "")
	var recipients []string
	f.Func("recipient", "", func(text string) error { recipients = append(recipients, text); return nil })
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	choices := strings.FieldsFunc(*with, func(r rune) bool { return r == ',' || r == ' ' })
	for _, c := range choices {
		if !slices.Contains(backup.Choices(), c) {
			fmt.Fprintf(e.Err, "gatepost backup create: --with %q: it can be %s\n", c, strings.Join(backup.Choices(), ", "))
			return cli.Usage
		}
	}
	h := at(e, f.Config)
	if h == nil {
		return cli.Found
	}
	for_, err := lock(recipients, *passphrase)
	if err != nil {
		return complain(e, "create", err)
	}
	name := *to
	if name == "" {
		name = filepath.Join(h.b.StateDir, backup.Folder)
		if err := errors.Join(os.MkdirAll(name, 0o700), backup.Give(name, h.b.StateDir)); err != nil {
			return complain(e, "create", err)
		}
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, backup.FileName(h.b.Hostname, time.Now()))
	}
	m, err := backup.Create(ctx, s.plan(e, h, f.Config, choices), for_, name)
	if err != nil {
		return complain(e, "create", err)
	}
	if filepath.Dir(name) == filepath.Join(h.b.StateDir, backup.Folder) {
		if err := backup.Give(name, h.b.StateDir); err != nil {
			return complain(e, "create", err)
		}
	}
	return reply(e, f, told(name, m), name)
}

func reply(e cli.Env, f *cli.Flags, t *Told, what string) int {
	if f.JSON {
		return cli.JSON(e, t)
	}
	t.show(e.Out, what)
	return cli.Done
}

func complain(e cli.Env, verb string, err error) int {
	text := err.Error()
	fmt.Fprintf(e.Err, "gatepost backup %s: %s\n", verb, strings.TrimPrefix(strings.TrimPrefix(text, "backup: "), "restore: "))
	if errors.Is(err, fs.ErrPermission) {
		return cli.NotAllowed
	}
	return cli.Found
}

func (s Shop) list(_ context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "backup list")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	var dir string
	if len(rest) == 1 {
		dir = rest[0]
	} else {
		h := at(e, f.Config)
		if h == nil {
			return cli.Found
		}
		dir = filepath.Join(h.b.StateDir, backup.Folder)
	}
	all, err := In(dir)
	if err != nil {
		return complain(e, "list", err)
	}
	if f.JSON {
		return cli.JSONLines(e, all)
	}
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range all {
		fmt.Fprintf(t, "%s\t%s\t%d octets\t%s\n", cli.Stamp(all[i].Time), cli.Shown(all[i].Host, 255), all[i].Octets, all[i].File)
	}
	_ = t.Flush() // Out is what a pipe makes of it
	if len(all) == 0 {
		fmt.Fprintf(e.Err, "there are no backups in %s\n", dir)
	}
	return cli.Done
}

// In lists the backups in a folder by their names, the newest first. What is in them is not looked at. A folder that is not there has none.
func In(dir string) ([]Told, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := []Told{}
	for _, entry := range entries {
		host, when, ok := backup.ParseName(entry.Name())
		info, err := entry.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue
		}
		out = append(out, Told{File: filepath.Join(dir, entry.Name()), Host: host, Time: when, Octets: info.Size()})
	}
	slices.SortFunc(out, func(a, b Told) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.File, b.File)) })
	return out, nil
}

func (s Shop) verify(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "backup verify")
	identity, passphrase := f.String("identity", "", ""), f.String("passphrase-file", "", "")
	name, ok := f.One(e, args, "name the file of a backup")
	if !ok {
		return cli.Usage
	}
	k, err := key(*identity, *passphrase)
	if err != nil {
		return complain(e, "verify", err)
	}
	file, err := os.Open(name)
	if err != nil {
		return complain(e, "verify", err)
	}
	defer file.Close()
	m, err := backup.Verify(ctx, file, k, known)
	if err != nil {
		return complain(e, "verify", err)
	}
	return reply(e, f, told(name, m), "sound")
}

func (s Shop) restore(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "backup restore")
	identity, passphrase, keep := f.String("identity", "", ""), f.String("passphrase-file", "", ""), f.Bool("keep-config", false, "")
	name, ok := f.One(e, args, "name the file of a backup")
	if !ok {
		return cli.Usage
	}
	h := at(e, f.Config)
	if h == nil {
		return cli.Found
	}
	k, err := key(*identity, *passphrase)
	if err != nil {
		return complain(e, "restore", err)
	}
	held, err := s.Lock(h.b.StateDir)
	if err != nil {
		return complain(e, "restore", fmt.Errorf("%w; stop it first (systemctl stop gatepost.socket gatepost)", err))
	}
	defer held.Close()
	to := &backup.Target{State: h.b.StateDir, Config: h.folder(), KeepConfig: *keep, Known: known}
	done, err := to.Restore(ctx, func() (io.ReadCloser, error) { return os.Open(name) }, k)
	if err != nil {
		return complain(e, "restore", err)
	}
	t := told(name, done.Manifest)
	if f.JSON {
		return cli.JSON(e, t)
	}
	t.show(e.Out, "restored")
	fmt.Fprintf(e.Out, "what was here lies in %s: remove it once all is well\n", done.Before)
	if done.Restored != "" {
		fmt.Fprintf(e.Out, "files that belong elsewhere lie in %s: put them where the documents want them\n", done.Restored)
	}
	if done.VaultAside {
		fmt.Fprintf(e.Out, "mail that was quarantined here lies in %s: it can be read with the keys there only\n", filepath.Join(done.Before, "vault"))
	}
	fmt.Fprintln(e.Out, "next: gatepost check, then start the daemon")
	return cli.Done
}

func (s Shop) resume(_ context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "backup resume")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	h := at(e, f.Config)
	if h == nil {
		return cli.Found
	}
	held, err := s.Lock(h.b.StateDir)
	if err != nil {
		return complain(e, "resume", err)
	}
	defer held.Close()
	was, err := backup.Resume(h.b.StateDir)
	if err != nil {
		return complain(e, "resume", err)
	}
	if !was {
		fmt.Fprintln(e.Out, "no restore is under way")
		return cli.Done
	}
	fmt.Fprintln(e.Out, "the restore is at its end")
	return cli.Done
}

func makeKey(_ context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "backup key")
	out := f.String("out", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *out == "" {
		fmt.Fprintln(e.Err, "gatepost backup key: name the file of the private key: --out FILE")
		return cli.Usage
	}
	private, public, err := backup.NewKey()
	if err != nil {
		return complain(e, "key", err)
	}
	file, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return complain(e, "key", err)
	}
	_, err = fmt.Fprintf(file, "# public key: %s\n%s\n", public, private)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return complain(e, "key", err)
	}
	fmt.Fprintln(e.Out, public)
	return cli.Done
}
