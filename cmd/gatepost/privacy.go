package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/cmd/gatepost/privacy"
	rcpts "gatepost/cmd/gatepost/recipients"
	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/spool"
	"gatepost/internal/audit"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// logNames are the pseudonyms of the message log, by the key that nodes share or the installation's own; nil where it cannot be
// read, by a command of somebody who may not.
func logNames(b *config.Bootstrap) *store.Names {
	if name := b.Redis.SecretFile; name != "" {
		key, err := readSecret(name, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil
		}
		return store.NewNames(key)
	}
	text, err := os.ReadFile(filepath.Join(b.StateDir, installationFile))
	if err != nil {
		return nil
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != installationOctets {
		return nil
	}
	return store.NewNames(key)
}

// How often old days get pseudonyms, and how soon after the start.
const (
	pseudonymsSoon  = 5 * time.Minute
	pseudonymsEvery = time.Hour
)

// runPseudonyms puts pseudonyms in the place of the addresses of days that are old enough, where policy wants it.
func (d *daemon) runPseudonyms(ctx context.Context) {
	after, names := d.bootstrap.Log.PseudonymiseAfter, logNames(d.bootstrap)
	if after == 0 || names == nil {
		return
	}
	for wait := pseudonymsSoon; ; wait = pseudonymsEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		c, err := d.store.Pseudonymise(ctx, names, time.Now().Add(-after))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil || len(c.Gaps) > 0:
			d.log.Error("log: some of it keeps addresses for longer than log.pseudonymise_after", "days", c.Gaps, "error", err)
		case c.Events+c.Fates > 0:
			d.log.Info("log: old events have pseudonyms now", "events", c.Events)
		}
	}
}

// privacyOperations are those about what is kept of a person.
func (d *daemon) privacyOperations() []control.Operation {
	desk := &privacy.Desk{Parts: d.privacyParts, Life: func() context.Context { return d.life },
		Name: func(address string) string {
			names := logNames(d.bootstrap)
			if names == nil {
				return "" // the key is gone since the start
			}
			return names.Address(address)
		}}
	return desk.Operations()
}

// byPrivacy is who did it, for the journal.
const byPrivacy = "gatepost privacy"

// privacyParts are all places that know people by their addresses. The message log is last: what is done in the others is in it.
func (d *daemon) privacyParts() []privacy.Part {
	return []privacy.Part{d.quarantinePart(), d.digestPart(), d.strangerDesk().Privacy(), d.recipientsPart(), d.ownListPart(), d.namedPart(), d.linksPart(), d.spoolPart(), d.policyPart(), d.usersPart(), d.auditPart(), d.logPart()}
}

func (d *daemon) logPart() privacy.Part {
	return privacy.Part{Name: "message log", Find: func(ctx context.Context, address string, add func(any) error) error {
		names := logNames(d.bootstrap)
		if names == nil {
			return fmt.Errorf("the key of pseudonyms cannot be read")
		}
		if err := d.settled(ctx); err != nil {
			return err
		}
		gaps, err := d.readLog().About(ctx, names, address, func(e *gateway.Event) error { return add(e) }, func(f *gateway.Fate) error { return add(f) })
		return gapsError(gaps, err)
	}, Erase: func(ctx context.Context, address string) (int, error) {
		names := logNames(d.bootstrap)
		if names == nil {
			return 0, fmt.Errorf("the key of pseudonyms cannot be read")
		}
		if err := d.settled(ctx); err != nil {
			return 0, err
		}
		c, err := d.store.Erase(ctx, names, address)
		return c.Events + c.Fates, gapsError(c.Gaps, err)
	}}
}

// settleTime bounds how long the message log is waited for.
const settleTime = time.Minute

// settled waits until the message log has what happened until now.
func (d *daemon) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := d.journal.Settle(ctx); err != nil {
		return err
	}
	return d.store.Flush(ctx)
}

// gapsError tells of days that could not be read or changed.
func gapsError(gaps []store.Gap, err error) error {
	if err != nil || len(gaps) == 0 {
		return err
	}
	var days []string
	for _, g := range gaps {
		days = append(days, g.Day+": "+g.Why)
	}
	return fmt.Errorf("not all of it: %s", strings.Join(days, "; "))
}

// keptOf gives each message in quarantine that is from or to somebody, with his copies that are still there.
func (d *daemon) keptOf(ctx context.Context, address string, see func(r *quarantine.Row, his bool, copies []string) error) error {
	if d.vault == nil {
		return nil
	}
	seen := map[gateway.ID]bool{}
	for _, f := range []quarantine.Filter{{From: address}, {Rcpt: address}} {
		for f.Limit = 200; ; {
			rows, err := d.vault.Find(ctx, &f)
			if err != nil {
				return err
			}
			for i := range rows {
				r := &rows[i]
				his := strings.EqualFold(r.From, address) || strings.EqualFold(r.Author, address)
				var copies []string
				for _, to := range r.Rcpts {
					if strings.EqualFold(to.Address, address) && to.State != quarantine.Deleted {
						copies = append(copies, to.Address)
					}
				}
				if seen[r.ID] || !his && len(copies) == 0 {
					continue
				}
				seen[r.ID] = true
				if err := see(r, his, copies); err != nil {
					return err
				}
			}
			if len(rows) < f.Limit {
				break
			}
			f.Before = rows[len(rows)-1].ID
		}
	}
	return nil
}

func (d *daemon) quarantinePart() privacy.Part {
	return privacy.Part{Name: "quarantine", Find: func(ctx context.Context, address string, add func(any) error) error {
		return d.keptOf(ctx, address, func(r *quarantine.Row, _ bool, _ []string) error { return add(r) })
	}, Erase: func(ctx context.Context, address string) (n int, err error) {
		err = d.keptOf(ctx, address, func(r *quarantine.Row, his bool, copies []string) error {
			if his {
				copies = nil // all of it
			}
			n++
			return d.vault.Delete(ctx, r.ID, copies, byPrivacy)
		})
		if err == nil && n > 0 {
			err = d.settleKept(ctx)
		}
		return n, err
	}}
}

func (d *daemon) digestPart() privacy.Part {
	return privacy.Part{Name: "digests", Find: func(ctx context.Context, address string, add func(any) error) error {
		if d.digests.file == nil {
			return nil
		}
		ids, err := d.digests.file.Named(ctx, strings.ToLower(address))
		for _, id := range ids {
			if err == nil {
				err = add(map[string]any{"told_of": id})
			}
		}
		return err
	}, Erase: func(ctx context.Context, address string) (int, error) {
		if d.digests.file == nil {
			return 0, nil
		}
		return d.digests.file.Forget(ctx, strings.ToLower(address))
	}}
}

func (d *daemon) recipientsPart() privacy.Part {
	return privacy.Part{Name: "recipients", Find: func(_ context.Context, address string, add func(any) error) error {
		list, _ := d.parts.recipients.Remembered(address, rcpts.AtMost)
		for i := range list {
			if err := add(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}, Erase: func(_ context.Context, address string) (int, error) {
		return d.parts.recipients.Forget("", address), nil
	}}
}

// ownListPart is a user's own list, and namedPart what other users' lists say of somebody.
func (d *daemon) ownListPart() privacy.Part {
	return privacy.Part{Name: "own list", Find: func(ctx context.Context, address string, add func(any) error) error {
		all, err := d.data.OwnLists().Of(ctx, strings.ToLower(address))
		for i := range all {
			if err == nil {
				err = add(&all[i])
			}
		}
		return err
	}, Erase: func(ctx context.Context, address string) (int, error) {
		n, err := d.data.OwnLists().Forget(ctx, strings.ToLower(address))
		return int(n), err
	}}
}

func (d *daemon) namedPart() privacy.Part {
	return privacy.Part{Name: "lists of others", Kept: "what other users want of this sender, or not", Find: func(ctx context.Context, address string, add func(any) error) error {
		all, err := d.data.OwnLists().Naming(ctx, strings.ToLower(address))
		for i := range all {
			if err == nil {
				err = add(&all[i])
			}
		}
		return err
	}}
}

func (d *daemon) spoolPart() privacy.Part {
	return privacy.Part{Name: "spool", Kept: "mail on its way, which goes as soon as it is delivered or given up; gatepost queue delete ends it", Find: func(_ context.Context, address string, add func(any) error) error {
		if d.queue == nil {
			return nil
		}
		seen := map[gateway.ID]bool{}
		for _, f := range []spool.Filter{{From: address}, {To: address}} {
			list, err := d.queue.List(&f)
			if err != nil {
				return err
			}
			for i := range list {
				if seen[list[i].ID] {
					continue
				}
				seen[list[i].ID] = true
				if err := add(&list[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}}
}

func (d *daemon) policyPart() privacy.Part {
	return privacy.Part{Name: "policy", Kept: "lines that somebody wrote, which stand in earlier versions as well: take them out of the policy", Find: func(_ context.Context, address string, add func(any) error) error {
		n := 0
		for line := range strings.Lines(string(d.document.Load().PolicyText)) {
			if n++; strings.Contains(strings.ToLower(line), strings.ToLower(address)) {
				if err := add(map[string]any{"line": n, "text": strings.TrimSpace(line)}); err != nil {
					return err
				}
			}
		}
		return nil
	}}
}

func (d *daemon) usersPart() privacy.Part {
	return privacy.Part{Name: "users", Kept: "an account of the console: gatepost user remove", Find: func(ctx context.Context, address string, add func(any) error) error {
		all, err := d.users.Users(ctx)
		for i := range all {
			if u := &all[i]; err == nil && (strings.EqualFold(u.Name, address) || strings.EqualFold(u.Mail, address)) {
				err = add(map[string]any{"name": u.Name, "display": u.Display, "mail": u.Mail, "role": u.Role, "created": u.Created, "login": u.Login, "login_from": u.LoginFrom})
			}
		}
		return err
	}}
}

func (d *daemon) auditPart() privacy.Part {
	return privacy.Part{Name: "audit log", Kept: "who did what, which goes after log.keep_audit; before, nobody could be called to account", Find: func(ctx context.Context, address string, add func(any) error) error {
		for _, f := range []audit.Filter{{Actor: address}, {Object: address}} {
			for f.Most = 500; ; {
				rows, err := d.data.Audit().List(ctx, f)
				if err != nil {
					return err
				}
				for i := range rows {
					if err := add(&rows[i].Entry); err != nil {
						return err
					}
				}
				if len(rows) < f.Most {
					break
				}
				f.Below = rows[len(rows)-1].Number
			}
		}
		return nil
	}}
}
