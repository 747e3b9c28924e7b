package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// The demo's domain and its mailboxes; any other address of it is unknown.
const (
	domain  = "lab.test"
	mailbox = "post@lab.test"
)

func mailboxes() []string { return []string{mailbox, "paul@lab.test", "postmaster@lab.test"} }

// room is what the folder needs: the big mail lies in up to four places at a time, and neither Gatepost nor Postfix takes
// mail when the disk is nearly full.
const room = 1 << 30

// world is all that runs.
type world struct {
	options options
	talk    io.Writer
	talking sync.Mutex
	dir     string

	resolver string // host:port of the name server that all ask
	names    *dnslab.Server
	keys     *keys
	clamd    *lab.Clamd
	spamd    *lab.Spamd
	postfix  *lab.Postfix
	redis    *lab.Redis // nil without it
	gatepost *lab.Gatepost
}

func newWorld(o options, talk io.Writer) (*world, error) {
	w := &world{options: o, talk: talk, dir: o.dir}
	if w.dir == "" {
		dir, err := lab.NewRoomyDir(room)
		w.dir = dir
		return w, err
	}
	dir, err := filepath.Abs(w.dir)
	if err != nil {
		return nil, err
	}
	w.dir = dir
	return w, os.MkdirAll(w.dir, 0o755)
}

// say tells the progress.
func (w *world) say(format string, args ...any) {
	w.talking.Lock()
	defer w.talking.Unlock()
	fmt.Fprintf(w.talk, "run: "+format+"\n", args...)
}

// start starts the parts, those that need nothing of each other at once, and
// Gatepost last.
func (w *world) start(ctx context.Context) error {
	if err := w.startNames(); err != nil {
		return err
	}
	var group sync.WaitGroup
	parts := []func(context.Context) error{w.startClamd, w.startSpamd, w.startPostfix}
	if w.options.redis {
		parts = append(parts, w.startRedis)
	}
	errs := make([]error, len(parts))
	for i, part := range parts {
		group.Go(func() { errs[i] = part(ctx) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return w.startGatepost(ctx)
}

func (w *world) startNames() (err error) {
	if w.keys, err = newKeys(); err != nil {
		return err
	}
	if w.resolver = w.options.resolver; w.resolver != "" {
		w.say("names come from %s", w.resolver)
		return nil
	}
	w.names, err = dnslab.Start(zones(w.keys))
	if err != nil {
		return err
	}
	w.resolver = w.names.Addr()
	w.say("name server with demo zones at %s", w.resolver)
	return nil
}

func (w *world) startClamd(ctx context.Context) (err error) {
	w.say("clamd starts")
	if w.clamd, err = lab.StartClamd(ctx, filepath.Join(w.dir, "clamd"), lab.ClamdOptions{}); err != nil {
		return err
	}
	w.say("clamd at %s, with a database of one signature, EICAR", w.clamd.Addr)
	return nil
}

func (w *world) startSpamd(ctx context.Context) (err error) {
	w.say("spamd starts; it compiles its rules first")
	if w.spamd, err = lab.StartSpamd(ctx, filepath.Join(w.dir, "spamd"), lab.SpamdOptions{DNS: w.resolver}); err != nil {
		return err
	}
	w.say("spamd at %s, with Debian's rules", w.spamd.Addr)
	return nil
}

func (w *world) startPostfix(ctx context.Context) (err error) {
	w.say("Postfix starts")
	w.postfix, err = lab.StartPostfix(ctx, filepath.Join(w.dir, "postfix"), lab.PostfixOptions{
		Name: "mail." + domain, Mailboxes: mailboxes(), TLS: true,
	})
	if err != nil {
		return err
	}
	w.say("Postfix, the internal MTA, at %s", w.postfix.Addr)
	return nil
}

func (w *world) startGatepost(ctx context.Context) (err error) {
	w.say("gatepost starts")
	dir := filepath.Join(w.dir, "gatepost")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	documents, err := w.documents(dir)
	if err != nil {
		return err
	}
	w.gatepost, err = lab.StartGatepost(ctx, dir, lab.GatepostOptions{
		Config: documents.bootstrap, Policy: documents.policy, Binary: w.options.gatepost,
	})
	if err != nil {
		return err
	}
	w.say("gatepost at %s", w.gatepost.Addr("smtp"))
	return nil
}

// stop ends what was started, in reverse.
func (w *world) stop() error {
	var errs []error
	if w.gatepost != nil {
		errs = append(errs, w.gatepost.Stop())
	}
	if w.redis != nil {
		errs = append(errs, w.redis.Close())
	}
	if w.postfix != nil {
		errs = append(errs, w.postfix.Stop())
	}
	if w.spamd != nil {
		errs = append(errs, w.spamd.Stop())
	}
	if w.clamd != nil {
		errs = append(errs, w.clamd.Stop())
	}
	if w.names != nil {
		w.names.Close()
	}
	if w.options.dir == "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	w.say("all parts have ended")
	return errors.Join(errs...)
}

// explain prints where it listens, how to send to it, and where everything is.
func (w *world) explain(out io.Writer) {
	t := texts{
		domain: domain, mailbox: mailbox, smtp: w.gatepost.Addr("smtp"), postfix: w.postfix.Addr,
		maildir: w.postfix.Maildir(mailbox).Path(), dir: filepath.Join(w.dir, "gatepost"), state: w.dir, kept: w.options.dir != "",
		program: w.gatepost.Program(), pid: w.gatepost.PID(), names: w.names != nil, others: mailboxes()[1:],
	}
	if a, err := w.gatepost.Addresses(); err == nil {
		t.metrics = a.Metrics
		if len(a.Console) > 0 {
			t.console = a.Console[0]
		}
	}
	if w.redis != nil {
		t.redis, t.password = w.redis.Socket, passwordFile(t.dir)
	}
	t.print(out)
}
