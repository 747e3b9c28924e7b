package filters

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/milter"
)

// milterCheck replays the dialogue of the message to mail filters of Sendmail's and Postfix's kind.
func milterCheck() Definition {
	return Definition{
		Name: "milter", Stage: gateway.Data, Class: gateway.ClassContent,
		Doc:     "What does each milter of gatepost.toml say? The whole dialogue is replayed to it once the message is there. Its refusals are told in its own words; what it would change in the message is noted and not done. Off without [[milter]] in gatepost.toml.",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Reasons: map[gateway.Reason]gateway.Action{
			gateway.MilterDeferred: gateway.ActionDefer,
			gateway.MilterKept:     gateway.ActionQuarantine,
			gateway.ScannerPartly:  gateway.ActionTag,
		},
		Measures: []Measure{{"refused", "a milter that refuses the message, by name", 0}, {"deferred", "one that refuses it for now", 0}, {"kept", "one that wants it kept, or to vanish, or refuses some of its recipients", 0}},
		Options:  &MilterOptions{},
		Needs:    func(d *Deps) bool { return len(d.Milters) > 0 },
		Build: func(options any, d *Deps) (Built, error) {
			if len(d.Milters) == 0 {
				return Built{}, errors.New("needs [[milter]] in gatepost.toml; or write action = \"off\"")
			}
			return Built{Run: d.runMilter, Opinion: options.(*MilterOptions).Waived}, nil
		},
	}
}

// MilterOptions are the options of checks.milter.
type MilterOptions struct {
	Waived bool `toml:"waived" doc:"Whether an entry of an allow list passes over what milters say, as for spam. Not so by default: nothing is known of what they look for."`
}

func (d *Deps) runMilter(ctx context.Context, in *gateway.Input) gateway.Finding {
	m := d.milterMessage(in.Envelope)
	all := askEach(d.Milters, func(i *Instance[*milter.Client]) gateway.Finding {
		var r milter.Result
		err := i.Servers.Do(ctx, func(ctx context.Context, c *milter.Client) (err error) {
			r, err = c.Check(ctx, m)
			return err
		})
		if err != nil {
			return unanswered(err)
		}
		return milterFinding(i.Name, &r)
	})
	return worstOf(all, gateway.MilterRefused, gateway.MilterDeferred)
}

// milterMessage tells the dialogue as it was.
func (d *Deps) milterMessage(e *gateway.Envelope) *milter.Message {
	s := e.Session
	m := &milter.Message{ID: e.ID.String(), Host: d.Hostname, Daemon: "gatepost", Client: gateway.Evident(e.Findings, gateway.EvidenceReverse),
		IP: s.Client.Addr().Unmap().String(), Port: s.Client.Port(), Helo: s.Helo.Name, From: e.From.Path(), Protocol: s.Protocol(e.Options.UTF8), Cipher: s.TLS.Cipher, TLS: s.TLS.Version}
	if e.Options.Size > 0 {
		m.FromArgs = append(m.FromArgs, "SIZE="+strconv.FormatInt(e.Options.Size, 10))
	}
	for i := range e.Rcpts {
		if e.Rcpts[i].Accepted() {
			m.Rcpts = append(m.Rcpts, e.Rcpts[i].Address.Path())
		}
	}
	at := int64(0)
	if e.Header != nil {
		at = min(e.Header.BodyStart, e.Body.Size())
		for _, f := range e.Header.Fields {
			if f.Name == "" {
				continue // no field, which no milter can be told of
			}
			_, value, _ := strings.Cut(string(e.Header.Raw[f.Start:f.End]), ":")
			m.Header = append(m.Header, [2]string{f.Name, strings.TrimSuffix(value, "\r\n")})
		}
	}
	m.Size = e.Body.Size() - at
	m.Body = io.NewSectionReader(e.Body, at, m.Size)
	return m
}

// milterFinding tells what a milter's word is a sign of.
func milterFinding(name string, r *milter.Result) gateway.Finding {
	var f gateway.Finding
	measure := func(word string) gateway.Measure { return gateway.Measure{Name: word, Value: 1, Text: name} }
	words := func(code, enhanced string) []string {
		if r.Code != 0 {
			code = strconv.Itoa(r.Code)
		}
		if r.Enhanced != "" {
			enhanced = r.Enhanced
		}
		text := r.Text
		if text == "" {
			text = "Refused by a filter of this site"
		}
		return []string{code, enhanced, text}
	}
	switch r.Kind {
	case milter.Accept:
		f = gateway.Passed()
	case milter.Reject:
		f = gateway.Failed(gateway.MilterRefused, words("550", "5.7.1")...).With(measure("refused"))
	case milter.TempFail:
		f = gateway.Failed(gateway.MilterDeferred, words("451", "4.7.1")...).With(measure("deferred"))
	case milter.Quarantine, milter.Discard:
		f = gateway.Failed(gateway.MilterKept).With(measure("kept"))
	default:
		return gateway.CouldNotTell(gateway.ScannerFailed).Show("word", r.Kind.String())
	}
	f = f.Show(gateway.EvidenceScanner, "milter "+name).Show("word", r.Kind.String()+" at "+r.At)
	if r.Code != 0 || r.Text != "" {
		f = f.Show("text", strings.Join(words("", ""), " "))
	}
	for _, who := range r.Refused {
		f = f.Show("refuses", who)
	}
	if len(r.Changes) > 0 {
		f = f.Show("would change", strings.Join(r.Changes, ", "))
	}
	return f
}
