package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/journal"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/routing"
	"gatepost/internal/store"
)

// digests is what tells recipients of mail in quarantine. The zero value tells nobody.
type digests struct {
	*digest.Digest
	file *store.Digest
	key  []byte
	why  string // it could not be opened
}

// openDigests makes what sends digests. Where its key or file cannot be used nobody is told, which health says, and mail goes on.
func (d *daemon) openDigests() {
	if d.vault == nil {
		d.digests.why = "the quarantine could not be opened"
		return
	}
	if err := d.tryDigests(); err != nil {
		d.digests.why = err.Error()
		d.log.Error("digests of the quarantine cannot be sent, and their links not be used", "error", err)
	}
}

func (d *daemon) tryDigests() error {
	key, err := digestKey(filepath.Join(d.bootstrap.StateDir, "digest.key"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), memoryTime)
	defer cancel()
	file, err := store.OpenDigest(ctx, filepath.Join(d.bootstrap.StateDir, "digest.db"), d.log)
	if err != nil {
		return err
	}
	d.digests.key, d.digests.file = key, file
	d.digests.Digest = digest.New(digest.Options{Kept: d.vault, Store: file, Key: key, Host: d.bootstrap.Hostname, Address: routing.Address, Log: d.log,
		Settings: func() *digest.Settings { return digestSettings(d.document.Load(), d.now.Load().snapshot.Policy) }, Send: d.sendDigest, Sent: d.digestSent})
	return nil
}

// digestKey reads the key of links, or makes one. Without the file all links are void.
func digestKey(name string) ([]byte, error) {
	return keyFile(name, digest.KeySize, ", which makes all links void")
}

// digestSettings translates quarantine.digest. The documents are of one reload at most apart.
func digestSettings(c *config.Config, p *gateway.Policy) *digest.Settings {
	q := &c.Policy.Quarantine
	s := &digest.Settings{Language: q.Digest.Language, Valid: q.Digest.Valid, Keep: max(q.Keep, q.KeepMalware), Zone: time.Local}
	if q.Digest.Links {
		s.Portal = strings.TrimSuffix(c.Bootstrap.Web.PortalURL, "/")
	}
	has := map[string]bool{}
	for i := range c.Policy.Domains {
		dom := &c.Policy.Domains[i]
		var at []digest.Clock
		for _, text := range c.Policy.DigestAt(dom) {
			if t, err := time.Parse("15:04", text); err == nil { // the decoder has looked
				at = append(at, digest.Clock(t.Hour()*60+t.Minute()))
			}
		}
		if len(at) > 0 {
			has[dom.Name] = true
			s.Domains = append(s.Domains, digest.Domain{Name: dom.Name, At: at})
		}
	}
	s.DomainOf = func(a gateway.Address) string {
		if dom := p.Domain(a.Domain); dom != nil && has[dom.Name] {
			return dom.Name
		}
		return ""
	}
	return s
}

// sendDigest hands a digest to the next hop of its recipient, or, where that is away and the route has one, to the spool. It has
// the null reverse-path, so that nobody is told where it fails.
func (d *daemon) sendDigest(ctx context.Context, to gateway.Address, mail []byte, utf8 bool) error {
	final, route, err := d.wayOf(to)
	if err != nil {
		return fmt.Errorf("%w: %w", digest.ErrRefused, err)
	}
	fresh := func() *gateway.Delivery {
		del := &gateway.Delivery{ID: d.ids.Next(), Route: route, Options: gateway.MailOptions{UTF8: utf8, EightBit: utf8},
			Content: gateway.Content{Parts: []io.Reader{bytes.NewReader(mail)}, Size: int64(len(mail)), EightBit: utf8, UTF8: utf8}}
		for _, a := range final {
			r := gateway.Recipient{Address: a, Route: route, Verified: true, Options: gateway.RcptOptions{Notify: []string{"NEVER"}}}
			if a.Text != to.Text {
				r.Named = to
			}
			del.Rcpts = append(del.Rcpts, r)
		}
		return del
	}
	now := d.now.Load()
	relayed := now.relay.Relay(ctx, fresh())
	took, refused := 0, relayed.Result == gateway.RefusedByHop
	for i := range final {
		if relayed.TookFor(i) {
			took++
		}
	}
	switch {
	case took > 0: // of an alias, some: the others would make it come again and again to these
		return nil
	case relayed.Unreached() && d.queue != nil && now.snapshot.Spools[route]:
		del := fresh()
		if reason := d.queue.Takes(del.Content.Size); reason != "" {
			return errors.New(string(reason))
		}
		return d.queue.Put(ctx, del, gateway.Custody{Arrived: time.Now(), Why: "digest of the quarantine"})
	}
	words := gateway.CleanText(cmp.Or(relayed.Said, relayed.Reply.Text), 300)
	if refused {
		return fmt.Errorf("%w: %s", digest.ErrRefused, words)
	}
	if relayed.Unreached() {
		return fmt.Errorf("%w: %s", digest.ErrAway, words)
	}
	return errors.New(relayed.AtStep(words))
}

// digestSent tells the journal.
func (d *daemon) digestSent(to string, messages int, err error) {
	attrs := []slog.Attr{slog.String("to", gateway.CleanText(to, 320)), slog.Int("messages", messages)}
	if err != nil {
		attrs = append(attrs, slog.String("error", gateway.CleanText(err.Error(), 300)))
	}
	d.journal.Daemon(journal.QuarantineDigest, attrs...)
}

func (d *daemon) runDigests(ctx context.Context) {
	if d.digests.Digest != nil {
		d.digests.Run(ctx)
	}
}

// digestInstruments shows how digests are, and makes their part of health where policy wants them.
func (d *daemon) digestInstruments(m *journal.Metrics) {
	stat := func(of func(digest.Stats) uint64) func() float64 {
		return func() float64 {
			if d.digests.Digest == nil {
				return 0
			}
			return float64(of(d.digests.Stats()))
		}
	}
	m.Counter("digest_sent_total", "Digests of the quarantine that were handed on.", stat(func(s digest.Stats) uint64 { return s.Sent }))
	m.Counter("digest_failed_total", "Digests that could not be handed on, each attempt.", stat(func(s digest.Stats) uint64 { return s.Failed }))
	m.Counter("digest_messages_total", "Messages that digests told of.", stat(func(s digest.Stats) uint64 { return s.Messages }))
	d.journal.Health().Watch("digests", func() (bool, string) {
		n := len(digestSettings(d.document.Load(), d.now.Load().snapshot.Policy).Domains)
		switch {
		case n == 0:
			return true, "off"
		case d.digests.why != "":
			return false, "nobody is told of mail in quarantine: " + d.digests.why
		}
		return true, fmt.Sprintf("for %d %s", n, cli.Plural(n, "domain", "domains"))
	})
}
