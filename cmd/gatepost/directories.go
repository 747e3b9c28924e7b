package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	rcpts "gatepost/cmd/gatepost/recipients"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/recipients"
	"gatepost/internal/config"
	"gatepost/internal/directory"
	"gatepost/internal/ldapdir"
)

// directories are those that policies of this process named. One that the next policy names as well keeps what it knows.
type directories struct {
	folder string // of their copies; "" for none: check keeps nothing
	log    *slog.Logger

	mu   sync.Mutex
	all  map[string]*directory.Directory // by what the document says of each
	tell func(directory.Event)
}

// get returns the directory that the document describes, as it is known.
func (ds *directories) get(c *config.Directory) (*directory.Directory, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d := ds.all[string(text)]; d != nil {
		return d, nil
	}
	o := directory.Options{Name: c.Name, Kind: string(c.Kind), AllowEmpty: c.AllowEmpty, Tell: ds.told}
	if ds.folder != "" {
		o.Copy = filepath.Join(ds.folder, strings.ToLower(c.Name)+".copy")
	}
	switch c.Kind {
	case config.DirectoryFile:
		o.Source = directory.File{Path: c.Path()}
	case config.DirectoryCSV:
		o.Source = directory.CSV{Path: c.Path(), Column: c.Column, Status: c.Status, Active: c.Active,
			Comma: map[string]rune{"comma": ',', "semicolon": ';', "tab": '\t'}[c.Separator]}
	default:
		if o.Source, err = ds.ldap(c); err != nil {
			return nil, err
		}
		o.Every, o.Timeout, o.Lenient = c.Every, c.Timeout, true
	}
	d := directory.New(o)
	if err := d.Load(); err != nil {
		ds.log.Warn("directory "+c.Name+": copy", "error", err)
	}
	if ds.all == nil {
		ds.all = make(map[string]*directory.Directory)
	}
	ds.all[string(text)] = d
	return d, nil
}

// told passes on what became of a directory.
func (ds *directories) told(e directory.Event) {
	ds.mu.Lock()
	tell := ds.tell
	ds.mu.Unlock()
	if tell != nil {
		tell(e)
	}
}

func (ds *directories) listen(tell func(directory.Event)) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.tell = tell
}

// keep forgets all but these.
func (ds *directories) keep(list []*directory.Directory) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for key, d := range ds.all {
		if !slices.Contains(list, d) {
			delete(ds.all, key)
		}
	}
}

// makeSources says who knows the recipients of each route and domain, and which directories that takes.
func makeSources(c *config.Config, policy *gateway.Policy, ds *directories) (recipients.Sources, []*directory.Directory, error) {
	out := recipients.Sources{Policy: policy, Routes: map[string]recipients.Source{}, Domains: map[string]recipients.Source{}}
	var all []*directory.Directory
	source := func(how string, names []string, unlisted config.Unlisted) (recipients.Source, error) {
		s := recipients.Source{None: how == config.RecipientsNone, ThenAsk: unlisted == config.UnlistedAsk}
		for _, name := range names {
			d, err := ds.get(c.Policy.Directory(name))
			if err != nil {
				return s, fmt.Errorf("directory[%s]: %w", name, err)
			}
			s.Directories = append(s.Directories, d)
			if !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
		return s, nil
	}
	for i := range c.Policy.Routes {
		r := &c.Policy.Routes[i]
		s, err := source(r.Recipients, r.Directories, r.Unlisted)
		if err != nil {
			return out, nil, err
		}
		s.Ends = r.Kind == config.RouteReport
		s.Spare = r.AcceptsAll == "none"
		out.Routes[r.Name] = s
	}
	for i := range c.Policy.Domains {
		d := &c.Policy.Domains[i]
		if d.Recipients == "" {
			continue
		}
		s, err := source(d.Recipients, d.Directories, d.Unlisted)
		if err != nil {
			return out, nil, err
		}
		s.Spare = out.Routes[d.Route].Spare
		out.Domains[d.Name] = s
	}
	return out, all, nil
}

// readFiles reads the files among directories of which nothing is known yet, so that what is wrong with one is told before
// it is needed. An LDAP directory is read in the background.
func (b *built) readFiles(ctx context.Context) error {
	var errs []error
	for _, d := range b.directories {
		if s := d.Status(); s.Kind != string(config.DirectoryLDAP) && !s.Ready {
			errs = append(errs, d.Sync(ctx, false))
		}
	}
	return errors.Join(errs...)
}

// runDirectories keeps those of a policy up to date until ctx is done.
func (b *built) runDirectories(ctx context.Context) {
	var all sync.WaitGroup
	for _, d := range b.directories {
		all.Go(func() { d.Run(ctx) })
	}
	all.Wait()
}

// tellDirectory tells the journal what became of a directory.
func (d *daemon) tellDirectory(e directory.Event) {
	verb := journal.DirectoryRead
	attrs := []slog.Attr{slog.String("directory", e.Directory), slog.Int("addresses", e.Addresses)}
	if e.Err != nil {
		verb = journal.DirectoryFailed
		attrs = append(attrs, slog.String("error", gateway.CleanText(e.Err.Error(), 500)))
	}
	d.journal.Daemon(verb, attrs...)
}

// directoryHealth is the part "directories" of health: whether what is in force is what they say.
func (d *daemon) directoryHealth() (bool, string) {
	list := d.now.Load().directories
	for _, x := range list {
		if s := x.Status(); !s.OK() {
			return false, s.Name + ": " + rcpts.Words(&s)
		}
	}
	n := 0
	for _, x := range list {
		n += x.Status().Addresses
	}
	return true, fmt.Sprintf("%d with %d addresses", len(list), n)
}

// ldapClient is as whom servers of LDAP are asked; where they are, and what they are asked, is not in it yet. An error begins with the key.
func ldapClient(c *config.LDAPClient, log *slog.Logger) (*ldapdir.Config, error) {
	s := &ldapdir.Config{Clear: c.Clear, ServerName: c.ServerName, BindDN: c.BindDN, Password: func() (string, error) { return readPassword(c.PasswordFile, log) }}
	if _, err := s.Password(); err != nil {
		return nil, fmt.Errorf("password_file: %w", err)
	}
	if c.CAFile != "" {
		var err error
		if s.RootCAs, err = readCAs(c.CAFile); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	return s, nil
}

// ldap makes the source of an LDAP directory. It connects to nobody.
func (ds *directories) ldap(c *config.Directory) (directory.Source, error) {
	s, err := ldapClient(&c.LDAPClient, ds.log)
	if err != nil {
		return nil, err
	}
	s.Servers, s.Base, s.Filter, s.Attributes, s.SkipDisabled = c.Servers, c.Base, c.Filter, c.Attributes, c.SkipDisabled
	filter, attributes := ldapdir.FilterAD, ldapdir.AttributesAD()
	if c.Schema == "openldap" {
		filter, attributes = ldapdir.FilterOpenLDAP, ldapdir.AttributesOpenLDAP()
	}
	if s.Filter == "" {
		s.Filter = filter
	}
	if len(s.Attributes) == 0 {
		s.Attributes = attributes
	}
	if err := ldapdir.CheckFilter(s.Filter); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	return s, nil
}
