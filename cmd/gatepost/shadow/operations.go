package shadow

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost/cmd/gatepost/policy"
	"gatepost/cmd/gatepost/whatif"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/replay"
)

// Bounds of a run.
const (
	shortest   = time.Minute
	longest    = 7 * 24 * time.Hour
	maxComment = 300
)

// Desk is what the operations work with.
type Desk struct {
	Runner *Runner
	// Draft builds a document without putting it in force; nil: what is in force. stale are the keys by which checks find something else
	// than under what is in force. Its error, if it is a *control.Fault, is the reply.
	Draft func(ctx context.Context, text []byte) (draft *replay.Draft, stale []string, err error)
	// Version is the text of a version.
	Version func(ctx context.Context, number int64) ([]byte, error)
}

func startQuestion() control.Operation {
	return control.Operation{Name: "policy shadow start", Method: http.MethodPost, Path: "/policy/shadow", Doc: "Let a draft of the policy judge live mail for a while beside the policy in force, and count what it would have done", Right: access.PolicyDraft, Body: policy.MaxBody}
}

func showQuestion() control.Operation {
	return control.Operation{Name: "policy shadow show", Method: http.MethodGet, Path: "/policy/shadow", Doc: "Show what the draft that runs in the shadow would have done so far, or the last one did", Right: access.PolicyRead}
}

func stopQuestion() control.Operation {
	return control.Operation{Name: "policy shadow stop", Method: http.MethodDelete, Path: "/policy/shadow", Doc: "End the shadow run before its time", Right: access.PolicyDraft}
}

// Operations are those of the noun.
func Operations(d *Desk) []control.Operation {
	return []control.Operation{control.Define(startQuestion(), d.start), control.Define(showQuestion(), d.show), control.Define(stopQuestion(), d.stop)}
}

func (d *Desk) start(ctx context.Context, in *api.ShadowStart) (*api.Shadow, error) {
	wrong := func(field, message, hint string) error {
		return &control.Fault{Status: http.StatusBadRequest, Field: field, Message: message, Hint: hint}
	}
	long, err := config.ParseDuration(in.For)
	if err != nil || long < shortest || long > longest {
		return nil, wrong("for", fmt.Sprintf("for: is no time from %s to %s", config.FormatDuration(shortest), config.FormatDuration(longest)), "write for example 24h")
	}
	if len(in.Comment) > maxComment {
		return nil, wrong("comment", fmt.Sprintf("comment: is longer than %d octets", maxComment), "")
	}
	text := []byte(strings.ReplaceAll(in.Text, "\r\n", "\n"))
	switch {
	case in.Text == "" && in.Version == 0:
		return nil, wrong("text", "text: the draft is missing", "send text, or version")
	case len(text) > config.MaxFile:
		return nil, wrong("text", "the document is larger than "+config.Size(config.MaxFile).String(), "")
	case in.Text == "":
		if text, err = d.Version(ctx, in.Version); err != nil {
			return nil, err
		}
	}
	draft, stale, err := d.Draft(ctx, text)
	if err != nil {
		return nil, err
	}
	now, _, err := d.Draft(ctx, nil)
	if err != nil {
		return nil, err
	}
	about := api.Shadow{Running: true, Since: time.Now(), By: access.Of(ctx).Name, Comment: in.Comment, Policy: config.Version(text)}
	about.Until = about.Since.Add(long)
	was := func(version string) *replay.Draft {
		if version == now.Policy.Version {
			return now
		}
		return nil // another was published meanwhile
	}
	if !d.Runner.start(&about, &replay.Question{Draft: draft, Was: was}, stale) {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "a draft runs in the shadow already", Hint: "gatepost policy shadow show tells which; gatepost policy shadow stop ends it"}
	}
	control.Changed(ctx, control.Change{Object: "policy shadow", After: about})
	return d.show(ctx, nil)
}

func (d *Desk) show(ctx context.Context, _ *struct{}) (*api.Shadow, error) {
	return visible(ctx, d.Runner.show()), nil
}

// visible is a run as whoever asks may see it.
func visible(ctx context.Context, out *api.Shadow) *api.Shadow {
	if out.Result != nil {
		whatif.Numbers(ctx, &out.Result.List, &out.Result.More)
	}
	return out
}

func (d *Desk) stop(ctx context.Context, _ *struct{}) (*api.Shadow, error) {
	out := d.Runner.end()
	if out == nil {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: "no draft runs in the shadow", Hint: "gatepost policy shadow start FILE --for 24h starts one"}
	}
	control.Changed(ctx, Change(out))
	return visible(ctx, out), nil
}

// Change is what the audit log is told of the end of a run.
func Change(s *api.Shadow) control.Change {
	after := *s
	after.Result = nil
	return control.Change{Object: "policy shadow", After: map[string]any{"run": after, "messages": s.Result.Messages, "changed": s.Result.Changed, "not_known": s.Result.NotKnown}}
}
