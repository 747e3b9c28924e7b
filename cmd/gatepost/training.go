package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatepost/gateway/quarantine"
	"gatepost/internal/config"
	"gatepost/internal/rspamd"
	"gatepost/internal/spamd"
)

// pupils are the engines that can learn. They have connections of their own: what fails here is no reason not to ask them about mail.
type pupils struct {
	spamds []*spamd.Client // each: they may have a Bayes database of their own
	rspamd *rspamd.Client  // nil: none
}

// newPupils makes their clients. It connects to nobody.
func newPupils(b *config.Bootstrap, log *slog.Logger) (p pupils, err error) {
	for _, address := range b.SpamAssassin.Addresses {
		c, err := spamd.New(spamd.Config{Address: address, Timeout: b.SpamAssassin.Timeout, MaxSize: int64(b.SpamAssassin.MaxSize)})
		if err != nil {
			return p, fmt.Errorf("spamassassin: %w", err)
		}
		p.spamds = append(p.spamds, c)
	}
	p.rspamd, err = newController(b, log)
	return p, err
}

// newController makes the client of the rspamd that learns; nil where none is named.
func newController(b *config.Bootstrap, log *slog.Logger) (*rspamd.Client, error) {
	r := &b.Rspamd
	if r.Controller == "" {
		return nil, nil
	}
	password := ""
	if r.PasswordFile != "" {
		var err error
		if password, err = readPassword(r.PasswordFile, log); err != nil {
			return nil, fmt.Errorf("rspamd: password_file: %w", err)
		}
	}
	return rspamd.New(rspamd.Config{Address: r.Controller, Password: password, Timeout: r.Timeout, MaxSize: int64(r.MaxSize)})
}

// trainable refuses a policy that wants engines to learn which are not there.
func trainable(c *config.Config, p *parts) error {
	switch t := &c.Policy.Training; {
	case t.SpamAssassin && len(p.pupils.spamds) == 0:
		return faultAt(c, "training.spamassassin", errors.New("no spamd is there to learn"), "name it in spamassassin.addresses in gatepost.toml, or remove this line")
	case t.Rspamd && p.pupils.rspamd == nil:
		return faultAt(c, "training.rspamd", errors.New("no rspamd is there to learn"), "name its controller in rspamd.controller in gatepost.toml, as \"127.0.0.1:11334\", or remove this line")
	}
	return nil
}

// teacher has the engines learn that policy in force names.
type teacher struct {
	policy func() *config.Config
	parts  *parts
}

// Learns reports whether policy names one.
func (t teacher) Learns() bool {
	c := t.policy()
	return c.Policy.Training.SpamAssassin || c.Policy.Training.Rspamd
}

// pupil is an engine that learns.
type pupil struct {
	name string
	most int64 // octets of a message
	tell func(ctx context.Context, text []byte, spam bool) (did bool, err error)
}

// pupils are those that policy in force names.
func (t teacher) pupils() (out []pupil) {
	c := t.policy()
	if c.Policy.Training.SpamAssassin {
		for _, client := range t.parts.pupils.spamds {
			name := "spamassassin"
			if len(t.parts.pupils.spamds) > 1 {
				name += " " + client.Address()
			}
			out = append(out, pupil{name, int64(c.Bootstrap.SpamAssassin.MaxSize), func(ctx context.Context, text []byte, spam bool) (bool, error) {
				return tellSpamd(ctx, client, text, spam)
			}})
		}
	}
	if client := t.parts.pupils.rspamd; c.Policy.Training.Rspamd && client != nil {
		out = append(out, pupil{"rspamd", int64(c.Bootstrap.Rspamd.MaxSize), func(ctx context.Context, text []byte, spam bool) (bool, error) {
			did, err := client.Learn(ctx, bytes.NewReader(text), int64(len(text)), spam)
			return did, denied(err)
		}})
	}
	return out
}

// tellSpamd tells a spamd. One whose Bayes database is off, or that may not write it, answers as one that knows the message: so
// that is found out, by having it forget the message first.
func tellSpamd(ctx context.Context, c *spamd.Client, text []byte, spam bool) (did bool, err error) {
	as := spamd.Ham
	if spam {
		as = spamd.Spam
	}
	tell := func(as spamd.Lesson) (bool, error) {
		return c.Tell(ctx, spamd.Request{Message: bytes.NewReader(text), Size: int64(len(text))}, as)
	}
	did, err = tell(as)
	if err == nil && !did {
		var forgot, again bool
		if forgot, err = tell(spamd.Forget); err == nil {
			again, err = tell(as)
		}
		if err == nil && !forgot && !again {
			err = fmt.Errorf("spamd at %s takes lessons and learns nothing; its settings need use_bayes 1, and a bayes_path that its user (--username) may write", c.Address())
		}
	}
	return did, unwilling(err)
}

// learnersLive asks the engines that policy in force names whether they would learn, and teaches them nothing.
func learnersLive(ctx context.Context, c *config.Config, p *parts) (out []answer) {
	ask := func(what, server string, question func() error) {
		before := time.Now()
		a := answer{What: what, Server: server, Err: question(), Said: "takes lessons"}
		a.Took = time.Since(before)
		out = append(out, a)
	}
	if c.Policy.Training.SpamAssassin {
		// What nobody ever learned can be forgotten.
		unknown := "Message-ID: <" + rand.Text() + "@gatepost.invalid>\r\n\r\nnothing\r\n"
		for _, client := range p.pupils.spamds {
			ask("learns spam", client.Address(), func() error {
				_, err := client.Tell(ctx, spamd.Request{Message: strings.NewReader(unknown), Size: int64(len(unknown))}, spamd.Forget)
				return unwilling(err)
			})
		}
	}
	if client := p.pupils.rspamd; c.Policy.Training.Rspamd && client != nil {
		ask("learns spam", client.Address(), func() error { return denied(client.Admits(ctx)) })
	}
	return out
}

// unwilling says what to do about a spamd that was not started to learn.
func unwilling(err error) error {
	var code *spamd.CodeError
	if errors.As(err, &code) && code.Code == spamd.CodeUnavailable {
		return fmt.Errorf("%w; start spamd with --allow-tell, or remove training.spamassassin from policy.toml", err)
	}
	return err
}

// denied says what to do about a controller that does not know us.
func denied(err error) error {
	if errors.Is(err, rspamd.ErrDenied) {
		return fmt.Errorf("%w; write it into the file that rspamd.password_file in gatepost.toml names, and restart", err)
	}
	return err
}

// Teach tells every engine that does not know, also where one of them fails. One that had learned the message before is well.
func (t teacher) Teach(ctx context.Context, spam bool, m io.Reader, size int64, know []string) (knowing []string, told string, err error) {
	var most int64
	all := t.pupils()
	for i := range all {
		most = max(most, all[i].most)
	}
	if size > most {
		return nil, "", fmt.Errorf("%w: it has %d octets, and the engines are shown %d at most (max_size in gatepost.toml)", quarantine.ErrUnfit, size, most)
	}
	text, err := io.ReadAll(io.LimitReader(m, size))
	if err != nil {
		return nil, "", err
	}
	var said []string
	var faults []string
	for _, p := range all {
		word := "nothing new"
		switch {
		case slices.Contains(know, p.name):
			word = "knows it"
		case size > p.most:
			word = "too large"
		default:
			did, err := p.tell(ctx, text, spam)
			if err != nil {
				faults = append(faults, p.name+": "+err.Error())
				continue
			}
			if did {
				word = "learned"
			}
			knowing = append(knowing, p.name)
		}
		said = append(said, p.name+": "+word)
	}
	told = strings.Join(said, "; ")
	if len(faults) > 0 {
		err = errors.New(strings.Join(append(faults, said...), "; "))
	}
	return knowing, told, err
}
