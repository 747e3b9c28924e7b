package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"gatepost/appliance/backup"
	"gatepost/internal/arc"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/dkim"
	"gatepost/internal/dns"
)

// signingKey is one key that we sign with, and where its parts are.
type signingKey struct {
	Name   string `json:"name"` // of the TXT record
	Record string `json:"record"`
	File   string `json:"file"`
	State  string `json:"dns,omitempty"` // "published", "missing", "other" or "unknown"
	Detail string `json:"detail,omitempty"`
	key    crypto.Signer
}

// keyFlags are the options of both commands; what is not given is that of [arc] in policy.toml.
type keyFlags struct {
	*cli.Flags
	domain, selector, kind string
	c                      *config.Config
}

func readKeyFlags(e cli.Env, name string, args []string, kinds bool) (*keyFlags, int) {
	f := &keyFlags{Flags: cli.NewFlags(e, name)}
	for _, o := range []struct {
		name string
		to   *string
	}{{"domain", &f.domain}, {"selector", &f.selector}} {
		f.StringVar(o.to, o.name, "", "")
	}
	if kinds {
		f.StringVar(&f.kind, "type", arc.RSA2048, "")
	}
	if _, ok := f.Read(e, args, 0); !ok {
		return nil, cli.Usage
	}
	c, problems := config.Load(f.Config, sections())
	if c == nil {
		cli.Tell(e, problems)
		return nil, cli.Found
	}
	f.c = c
	for _, o := range []struct {
		name     string
		value    *string
		document string
	}{{"domain", &f.domain, c.Policy.ARC.Domain}, {"selector", &f.selector, c.Policy.ARC.Selector}} {
		given := *o.value
		if given == "" {
			given = o.document
		}
		ascii, err := dkim.ASCIIName(given)
		if err != nil {
			fmt.Fprintf(e.Err, "%s: --%s %q is no name; write for example --domain example.org --selector gatepost1, or both in [arc] of policy.toml\n", f.Name(), o.name, given)
			return nil, cli.Usage
		}
		*o.value = ascii
	}
	if dkim.KeyName(f.selector, f.domain) == "" {
		fmt.Fprintf(e.Err, "%s: domain and selector are too long together for a name in DNS\n", f.Name())
		return nil, cli.Usage
	}
	return f, cli.Done
}

// file is where the key lies: the file of the policy where it names this key, else the one in the state folder.
func (f *keyFlags) file() string {
	if a := f.c.Policy.ARC; a.Key != "" && a.Domain == f.domain && a.Selector == f.selector {
		return a.Key
	}
	return f.c.Bootstrap.SigningKey(f.domain, f.selector)
}

// dkimKeyMake makes a key and prints how to publish it. It never touches one that is there.
func dkimKeyMake(_ context.Context, e cli.Env, args []string) int {
	f, code := readKeyFlags(e, "dkim key make", args, true)
	if f == nil {
		return code
	}
	name := f.c.Bootstrap.SigningKey(f.domain, f.selector)
	text, err := arc.MakeKey(f.kind)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: --type: %v\n", f.Name(), err)
		return cli.Usage
	}
	if err := writeKey(f.c.Bootstrap.StateDir, name, text); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%s is there already and stays as it is; choose another selector, or show it with gatepost dkim key show", name)
		}
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	k, err := f.read1(name)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	k.print(e, f.JSON)
	if !f.JSON {
		fmt.Fprintf(e.Err, "The private key is in %s. Publish the record, see that it is there with gatepost dkim key show, and then write into policy.toml:\n"+
			"[arc]\nseal = \"changed\"\ndomain = %q\nselector = %q\n", name, f.domain, f.selector)
	}
	return cli.Done
}

// dkimKeyShow prints how to publish a key, and asks DNS whether it is.
func dkimKeyShow(ctx context.Context, e cli.Env, args []string) int {
	f, code := readKeyFlags(e, "dkim key show", args, false)
	if f == nil {
		return code
	}
	k, err := f.read1(f.file())
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; make one with gatepost dkim key make --domain %s --selector %s", err, f.domain, f.selector)
		}
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	b := f.c.Bootstrap
	r, err := dns.New(dns.Options{Servers: b.DNS.Servers, Deadline: b.DNS.Timeout, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintf(e.Err, "%s: dns: %v\n", f.Name(), err)
		return cli.Found
	}
	ctx, cancel := context.WithTimeout(ctx, liveTime)
	defer cancel()
	a := r.TXT(ctx, k.Name)
	k.published(&a)
	k.print(e, f.JSON)
	if !f.JSON {
		fmt.Fprintf(e.Err, "%s, key file %s\n", k.Detail, k.File)
	}
	if k.State != "published" {
		return cli.Found
	}
	return cli.Done
}

// read1 reads one key file.
func (f *keyFlags) read1(name string) (*signingKey, error) {
	key, err := readSigningKey(name)
	if err != nil {
		return nil, err
	}
	record, err := arc.Record(key)
	return &signingKey{Name: dkim.KeyName(f.selector, f.domain), Record: record, File: name, key: key}, err
}

// readSigningKey reads a private key; a file of that size is none.
func readSigningKey(name string) (crypto.Signer, error) {
	const most = 64 << 10
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s holds no key", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	key, err := arc.ReadKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// published says what DNS has of the key.
func (k *signingKey) published(a *dns.Answer[string]) {
	switch a.Status {
	case dns.None:
		k.State, k.Detail = "missing", "not published: DNS has no TXT record at "+k.Name
		return
	case dns.Failed, dns.Bogus:
		k.State, k.Detail = "unknown", fmt.Sprintf("DNS gave no answer for %s: %v", k.Name, a.Err())
		return
	}
	k.State, k.Detail = "other", "DNS has another record at "+k.Name
	ours, keys := 0, 0
	for _, text := range a.Records {
		if arc.Publishes(text, k.key) {
			ours++
		}
		if _, err := dkim.ParseKey(text); err == nil || errors.Is(err, dkim.ErrRevoked) {
			keys++
		}
	}
	switch {
	case ours > 0 && keys > 1:
		k.Detail = "DNS has this key and another one too at " + k.Name + ", and verifiers may take either"
	case ours > 0:
		k.State, k.Detail = "published", "published: DNS has this key at "+k.Name
	}
}

// print writes the record as a line of a zone, its text in strings of at most 255 octets (RFC 1035 section 3.3).
func (k *signingKey) print(e cli.Env, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(e.Out).Encode(k)
		return
	}
	fmt.Fprintf(e.Out, "%s. IN TXT (", k.Name)
	for rest := k.Record; rest != ""; {
		n := min(len(rest), 255)
		fmt.Fprintf(e.Out, "\n\t\"%s\"", rest[:n])
		rest = rest[n:]
	}
	fmt.Fprintln(e.Out, " )")
}

// writeKey writes a key where there is none, readable for the owner of the state folder only: the daemon runs as that user,
// and whoever makes the key may be root.
func writeKey(state, name string, text []byte) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	made := os.Mkdir(dir, 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return fmt.Errorf("key: %w", made)
	}
	f, err := os.CreateTemp(dir, ".new-*") // its mode is 0600
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, backup.Give(f.Name(), state))
	if made == nil {
		err = errors.Join(err, backup.Give(dir, state))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if err := os.Link(f.Name(), name); err != nil { // fails where there is one, and never shows half a file
		return fmt.Errorf("key: %w", err)
	}
	return nil
}
