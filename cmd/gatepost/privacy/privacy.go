// Package privacy is the noun privacy: what is kept of a person, by his address, is exported or erased, in all places that keep it.
//
// It knows the places only as a list of Parts. What takes long runs beside whoever asked, one at a time. No RFC applies.
package privacy

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Part is one place that keeps something of people. They are gone through in their order.
type Part struct {
	Name string
	// Find gives each record of the person to add, which says when there is no room for more.
	Find func(ctx context.Context, address string, add func(record any) error) error
	// Erase erases him, and returns of how many records; nil: what is there stays, as Kept says.
	Erase func(ctx context.Context, address string) (int, error)
	Kept  string
}

// Bounds of an export and of a job, and how long whoever asks for one waits for its end.
const (
	maxRecords = 20_000
	maxOctets  = 32 << 20
	jobTime    = 6 * time.Hour
	patience   = 20 * time.Second
	keepResult = 10 * time.Minute
)

// errRoom ends the finding of records.
type errRoom struct{}

func (errRoom) Error() string { return "there are more records than an export holds" }

// Desk is what the operations work with.
type Desk struct {
	Parts func() []Part
	Name  func(address string) string // the pseudonym of an address
	// Life ends jobs that run.
	Life func() context.Context

	mu   sync.Mutex
	job  api.PrivacyJob
	done chan struct{}
}

// Questions that are asked.
func exportQuestion() control.Operation {
	return control.Operation{Name: "privacy export", Method: http.MethodPost, Path: "/privacy/export", Right: access.PrivacyChange, Doc: "Gather what is kept of a person, by his address"}
}

func eraseQuestion() control.Operation {
	return control.Operation{Name: "privacy erase", Method: http.MethodPost, Path: "/privacy/erase", Right: access.PrivacyChange, Doc: "Erase what is kept of a person, by his address, for good"}
}

func statusQuestion() control.Operation {
	return control.Operation{Name: "privacy status", Method: http.MethodGet, Path: "/privacy", Right: access.PrivacyChange, Doc: "Tell how far the export or erasure is that runs, or how the last one ended"}
}

func resultQuestion() control.Operation {
	return control.Operation{Name: "privacy result", Method: http.MethodGet, Path: "/privacy/result", Right: access.PrivacyChange, Shows: true, Doc: "Show what the last export gathered; it is kept for ten minutes"}
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{
		control.Define(exportQuestion(), func(ctx context.Context, in *api.PrivacyAsked) (*api.PrivacyJob, error) {
			return d.begin(ctx, "export", in, d.export)
		}),
		control.Define(eraseQuestion(), func(ctx context.Context, in *api.PrivacyAsked) (*api.PrivacyJob, error) {
			return d.begin(ctx, "erase", in, d.erase)
		}),
		control.Define(statusQuestion(), func(context.Context, *struct{}) (*api.PrivacyJob, error) { return d.state(false), nil }),
		control.Define(resultQuestion(), func(ctx context.Context, _ *struct{}) (*api.PrivacyJob, error) {
			j := d.state(true)
			control.Changed(ctx, control.Change{Object: j.Name})
			return j, nil
		}),
	}
}

// begin begins a job, and waits for its end, not for long.
func (d *Desk) begin(ctx context.Context, what string, in *api.PrivacyAsked, run func(ctx context.Context, p Part, address string) api.PrivacyPart) (*api.PrivacyJob, error) {
	address := strings.Trim(strings.TrimSpace(in.Address), "<>")
	if at := strings.LastIndexByte(address, '@'); at <= 0 || at == len(address)-1 || len(address) > 320 || strings.ContainsAny(address, "\r\n\x00 *") {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "address: is no address of a person, such as anna@example.org", Field: "address"}
	}
	name := d.Name(address)
	control.Changed(ctx, control.Change{Object: name})
	d.mu.Lock()
	if d.job.Running {
		d.mu.Unlock()
		return nil, &control.Fault{Status: http.StatusConflict, Message: "another export or erasure runs", Hint: "privacy status tells how far it is"}
	}
	done := make(chan struct{})
	d.job = api.PrivacyJob{What: what, Name: name, Began: time.Now().UTC(), Running: true, Parts: []api.PrivacyPart{}}
	d.done = done
	d.mu.Unlock()
	life, cancel := context.WithTimeout(d.Life(), jobTime)
	go func() {
		defer cancel()
		for _, p := range d.Parts() {
			d.mu.Lock()
			d.job.At = p.Name
			d.mu.Unlock()
			got := run(life, p, address)
			got.Part = p.Name
			d.mu.Lock()
			d.job.Parts = append(d.job.Parts, got)
			d.mu.Unlock()
		}
		d.mu.Lock()
		d.job.Running, d.job.At, d.job.Ended = false, "", time.Now().UTC()
		d.mu.Unlock()
		close(done)
		d.forget(life, done)
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
	return d.state(false), nil
}

// forget takes the records of an export away after a while.
func (d *Desk) forget(ctx context.Context, job chan struct{}) {
	select {
	case <-time.After(keepResult):
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == job {
		for i := range d.job.Parts {
			d.job.Parts[i].Records = nil
		}
	}
}

// state is the job as it is, with its records or without.
func (d *Desk) state(records bool) *api.PrivacyJob {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.job
	out.Parts = slices.Clone(d.job.Parts)
	if out.Parts == nil {
		out.Parts = []api.PrivacyPart{}
	}
	for i := range out.Parts {
		if !records || out.Running {
			out.Parts[i].Records = nil
		}
	}
	return &out
}

// export gathers one part.
func (d *Desk) export(ctx context.Context, p Part, address string) (out api.PrivacyPart) {
	out.Kept = p.Kept
	room := d.room()
	err := p.Find(ctx, address, func(record any) error {
		text, err := json.Marshal(record)
		if err != nil {
			return err
		}
		if len(out.Records) >= maxRecords || len(text) > room {
			return errRoom{}
		}
		room -= len(text)
		out.Found++
		out.Records = append(out.Records, text)
		return nil
	})
	if _, full := err.(errRoom); full {
		out.More = true
	} else if err != nil {
		out.Error = err.Error()
	}
	return out
}

// room is how many octets an export may still take.
func (d *Desk) room() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	room := maxOctets
	for i := range d.job.Parts {
		for _, r := range d.job.Parts[i].Records {
			room -= len(r)
		}
	}
	return room
}

// erase erases one part, and counts what stays.
func (d *Desk) erase(ctx context.Context, p Part, address string) (out api.PrivacyPart) {
	if p.Erase != nil {
		n, err := p.Erase(ctx, address)
		out.Found, out.Erased = n, n
		if err != nil {
			out.Error = err.Error()
		}
		return out
	}
	out.Kept = p.Kept
	if err := p.Find(ctx, address, func(any) error { out.Found++; return nil }); err != nil {
		out.Error = err.Error()
	}
	return out
}
