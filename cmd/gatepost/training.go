package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"gatepost/gateway/quarantine"
	"gatepost/internal/config"
	"gatepost/internal/rspamd"
	"gatepost/internal/spamd"
)

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
	case t.SpamAssassin && p.spam == nil:
		return errors.New("training.spamassassin: needs spamassassin.addresses in gatepost.toml")
	case t.Rspamd && p.engines.controller == nil:
		return errors.New("training.rspamd: needs rspamd.controller in gatepost.toml")
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

func (t teacher) pupils() (out []pupil) {
	c := t.policy()
	if c.Policy.Training.SpamAssassin {
		out = append(out, pupil{"spamassassin", int64(c.Bootstrap.SpamAssassin.MaxSize), t.tellSpamd})
	}
	if c.Policy.Training.Rspamd {
		out = append(out, pupil{"rspamd", int64(c.Bootstrap.Rspamd.MaxSize), func(ctx context.Context, text []byte, spam bool) (bool, error) {
			return t.parts.engines.controller.Learn(ctx, bytes.NewReader(text), int64(len(text)), spam)
		}})
	}
	return out
}

func (t teacher) tellSpamd(ctx context.Context, text []byte, spam bool) (did bool, err error) {
	as := spamd.Ham
	var unwilling error
	if spam {
		as = spamd.Spam
	}
	err = t.parts.spam.Do(ctx, func(ctx context.Context, c *spamd.Client) (err error) {
		did, err = c.Tell(ctx, spamd.Request{Message: bytes.NewReader(text), Size: int64(len(text))}, as)
		var code *spamd.CodeError
		if errors.As(err, &code) && code.Code == spamd.CodeUnavailable {
			// It works, and does not want to: mail that it is to score must not be kept from it for that.
			unwilling = fmt.Errorf("%w; start spamd with --allow-tell", err)
			return nil
		}
		return err
	})
	return did, errors.Join(err, unwilling)
}

// Teach tells every engine, also where one of them fails. One that knows the message already is well.
func (t teacher) Teach(ctx context.Context, spam bool, m io.Reader, size int64) (string, error) {
	var most int64
	all := t.pupils()
	for i := range all {
		most = max(most, all[i].most)
	}
	if size > most {
		return "", fmt.Errorf("%w: it is larger than what engines are shown (%d octets)", quarantine.ErrUnfit, most)
	}
	text, err := io.ReadAll(io.LimitReader(m, size))
	if err != nil {
		return "", err
	}
	var said []string
	var faults error
	for _, p := range all {
		if size > p.most {
			said = append(said, p.name+": too large")
			continue
		}
		switch did, err := p.tell(ctx, text, spam); {
		case err != nil:
			faults = errors.Join(faults, fmt.Errorf("%s: %w", p.name, err))
		case did:
			said = append(said, p.name+": learned")
		default:
			said = append(said, p.name+": nothing new")
		}
	}
	return strings.Join(said, "; "), faults
}
