package filters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/hook"
)

// What a hook is sent.
const (
	HookEnvelope = "envelope" // who, to whom, results of authentication, findings
	HookHeaders  = "headers"  // and the header section, and what the parts are
	HookMessage  = "message"  // and the message
)

// Hook is one check of the operator's own.
type Hook struct {
	Instance[*hook.Client]
	Send string // one of the words above
	Most int64  // octets of the message that it is sent
}

// hookCheck asks checks of the operator's own, over HTTP.
func hookCheck() Definition {
	return Definition{
		Name: "hook", Stage: gateway.Data, Class: gateway.ClassContent,
		Doc:     "What does each hook of gatepost.toml say, a check of the operator's own over HTTP? docs/hook.md describes what is posted and answered. Off without [[hook]] in gatepost.toml.",
		Action:  gateway.ActionQuarantine,
		Unknown: gateway.ActionTag,
		Reasons: map[gateway.Reason]gateway.Action{gateway.ScannerPartly: gateway.ActionTag},
		Measures: []Measure{{"score", "the points that a hook gives, on SpamAssassin's scale; its name is the text", 1}, {"refused", "a hook that says fail, by name", 0},
			{"hint", "what it would do, behind \"hint:\"", 0}},
		Options: &HookOptions{},
		Needs:   func(d *Deps) bool { return len(d.Hooks) > 0 },
		Build: func(options any, d *Deps) (Built, error) {
			if len(d.Hooks) == 0 {
				return Built{}, errors.New("needs [[hook]] in gatepost.toml; or write action = \"off\"")
			}
			o := options.(*HookOptions)
			b := Built{Run: d.runHook, Opinion: o.Waived}
			if o.Hints {
				for _, a := range [...]gateway.Action{gateway.ActionReject, gateway.ActionDefer, gateway.ActionQuarantine, gateway.ActionTag, gateway.ActionScore} {
					b.Cases = append(b.Cases, gateway.Case{Pattern: "hint:" + a.String(), Action: a, Key: "hints"})
				}
			}
			return b, nil
		},
	}
}

// HookOptions are the options of checks.hook.
type HookOptions struct {
	Hints  bool `toml:"hints" doc:"Whether a hook that says fail may choose what happens, by its hint: score, tag, quarantine, defer or reject; of several the hardest. Otherwise action says it, and a hint is only shown."`
	Waived bool `toml:"waived" doc:"Whether an entry of an allow list passes over what hooks say, as for spam. Not so by default: nothing is known of what they look for."`
}

func (d *Deps) runHook(ctx context.Context, in *gateway.Input) gateway.Finding {
	instances := make([]Instance[*hook.Client], len(d.Hooks))
	documents := make(map[string]*hook.Document, len(d.Hooks))
	for i := range d.Hooks {
		h := &d.Hooks[i]
		instances[i] = h.Instance
		doc, err := d.hookDocument(in, h)
		if err != nil {
			return gateway.CouldNotTell(gateway.ScannerFailed).Show("error", "the message cannot be read: "+err.Error())
		}
		documents[h.Name] = doc
	}
	all := askEach(instances, func(i *Instance[*hook.Client]) gateway.Finding {
		var a hook.Answer
		err := i.Servers.Do(ctx, func(ctx context.Context, c *hook.Client) (err error) {
			a, err = c.Ask(ctx, documents[i.Name])
			return err
		})
		if err != nil {
			return unanswered(err)
		}
		return hookFinding(i.Name, &a)
	})
	return worstOf(all, gateway.HookRefused)
}

// hookFinding tells what an answer is a sign of.
func hookFinding(name string, a *hook.Answer) gateway.Finding {
	f := gateway.Passed()
	switch a.Result {
	case hook.Fail:
		text := a.Text
		if text == "" {
			text = name
		}
		f = gateway.Failed(gateway.HookRefused, text).With(gateway.Measure{Name: "refused", Value: 1, Text: name})
		if a.Hint != "" {
			f = f.With(gateway.Measure{Name: "hint", Value: 1, Text: "hint:" + a.Hint})
		}
	case hook.Unknown:
		f = gateway.CouldNotTell(gateway.ScannerFailed)
	}
	if a.Score != 0 {
		f = f.With(gateway.Measure{Name: "score", Value: a.Score, Text: name})
	}
	f = f.Show(gateway.EvidenceScanner, "hook "+name).Show("result", strings.TrimSpace(a.Result+" "+a.Text))
	if a.Hint != "" {
		f = f.Show("hint", a.Hint)
	}
	for _, e := range a.Evidence {
		f = f.Show(e.Name, e.Text)
	}
	return f
}

// hookDocument tells of the message what the hook is to be sent.
func (d *Deps) hookDocument(in *gateway.Input, h *Hook) (*hook.Document, error) {
	e, s := in.Envelope, in.Envelope.Session
	doc := &hook.Document{ID: e.ID.String(), Received: e.Started, Host: d.Hostname, From: e.From.Text, Size: e.Body.Size(),
		Client: hook.Peer{Address: s.Client.Addr().Unmap().String(), Name: gateway.Evident(e.Findings, gateway.EvidenceReverse), Helo: s.Helo.Name, TLS: s.TLS.Version, Cipher: s.TLS.Cipher}}
	for i := range e.Rcpts {
		if e.Rcpts[i].Accepted() {
			doc.To = append(doc.To, e.Rcpts[i].Address.Text)
		}
	}
	for _, findings := range [...][]gateway.Finding{s.Findings, e.Findings} {
		for i := range findings {
			f := &findings[i]
			if f.Result != gateway.NotRun {
				doc.Findings = append(doc.Findings, hook.Finding{Check: f.Check, Result: f.Result.String(), Reason: string(f.Reason)})
			}
			for _, a := range f.Auth {
				doc.Auth = append(doc.Auth, hook.Auth{Method: a.Method, Result: a.Result})
			}
		}
	}
	if h.Send == HookEnvelope {
		return doc, nil
	}
	if e.Header != nil {
		for _, f := range e.Header.Fields {
			_, value, _ := strings.Cut(string(e.Header.Raw[f.Start:f.End]), ":")
			doc.Header = append(doc.Header, [2]string{f.Name, strings.TrimSuffix(value, "\r\n")})
		}
	}
	if t := tree(in); t != nil {
		for i := range t.Parts {
			p := &t.Parts[i]
			if !p.Leaf {
				continue
			}
			part := hook.Part{Path: p.Path, Type: p.Type, Names: p.Names, Octets: p.Octets}
			if p.SHA256 != [32]byte{} { // a text that is shown has none
				part.SHA256 = fmt.Sprintf("%x", p.SHA256)
			}
			doc.Parts = append(doc.Parts, part)
		}
	}
	if h.Send == HookHeaders {
		return doc, nil
	}
	n := min(e.Body.Size(), h.Most)
	doc.Message, doc.Cut = make([]byte, n), n < e.Body.Size()
	if _, err := io.ReadFull(io.NewSectionReader(e.Body, 0, n), doc.Message); err != nil {
		return nil, err
	}
	return doc, nil
}
