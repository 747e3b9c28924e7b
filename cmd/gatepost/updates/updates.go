// Package updates is how the daemon is asked about the version of the appliance: to apply an update, to go back, to restart. It has no
// right to do any of it: it pipes to the helper of root, which verifies what comes (package appliance/update).
//
// It never reads what is in an update. No RFC applies here.
package updates

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"gatepost/appliance/bundle"
	"gatepost/appliance/update"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// maxUpload is how large an update may be, in octets: its parts, and the manifest.
const maxUpload = 2*bundle.MaxPart + 1<<20

// uploadTime is how long one may take: 120 MB at 100 kB/s, and writing it.
const uploadTime = 30 * time.Minute

func statusQuestion() control.Operation {
	return control.Look("appliance status", "/appliance", "Show which versions the appliance has, and which is booted next", access.SystemRead)
}

func updateQuestion() control.Operation {
	o := control.Do("appliance update", "/appliance/update", "Apply a signed update: it is booted at the next restart, and stays if it finds itself well", access.ApplianceChange)
	o.Upload, o.Body, o.Time = true, maxUpload, uploadTime
	return o
}

func rollbackQuestion() control.Operation {
	return control.Do("appliance rollback", "/appliance/rollback", "Have the version before booted at the next restart", access.ApplianceChange)
}

func restartQuestion() control.Operation {
	return control.Do("appliance restart", "/appliance/restart", "Restart the appliance", access.ApplianceChange)
}

// Desk is what the operations work with.
type Desk struct {
	Socket string // of the helper; see update.Socket
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{
		control.Define(statusQuestion(), d.status),
		control.DefineUpload(updateQuestion(), d.update),
		control.Define(rollbackQuestion(), d.act(update.DoRollback)),
		control.Define(restartQuestion(), d.act(update.DoRestart)),
	}
}

func (d *Desk) status(ctx context.Context, _ *struct{}) (*api.Appliance, error) {
	a, err := update.Ask(ctx, d.Socket, update.DoStatus, nil, nil)
	if errors.Is(err, update.ErrNoAppliance) {
		return &api.Appliance{None: err.Error(), All: []api.ApplianceVersion{}}, nil
	}
	if err != nil {
		return nil, refused(err)
	}
	return told(a), nil
}

func (d *Desk) update(ctx context.Context, _ *struct{}, body io.Reader) (*api.Appliance, error) {
	a, err := update.Ask(ctx, d.Socket, update.DoApply, body, nil)
	control.Changed(ctx, change(a))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: tooLarge.Error()}
	}
	if err != nil {
		return nil, refused(err)
	}
	return told(a), nil
}

// act is one of those that need no more than to be asked for.
func (d *Desk) act(do string) func(context.Context, *struct{}) (*api.Appliance, error) {
	return func(ctx context.Context, _ *struct{}) (*api.Appliance, error) {
		a, err := update.Ask(ctx, d.Socket, do, nil, nil)
		control.Changed(ctx, change(a))
		if err != nil {
			return nil, refused(err)
		}
		return told(a), nil
	}
}

// refused is what the helper did not do, in its words: they are for people, and have nothing of the machine that its owner may not know.
func refused(err error) error {
	return &control.Fault{Status: http.StatusConflict, Message: err.Error()}
}

// change is what the audit log is told: which version was applied, or is booted next.
func change(a *update.Answer) control.Change {
	c := control.Change{Object: "appliance"}
	if a != nil && a.Version != "" {
		c.Object = "version " + string(a.Version)
	}
	if a != nil && a.Status != nil {
		c.After = told(a)
	}
	return c
}

func told(a *update.Answer) *api.Appliance {
	s := a.Status
	out := &api.Appliance{Running: string(s.Running), Slot: s.Slot, Trial: s.Trial, Next: string(s.Next), Back: string(s.Back), All: []api.ApplianceVersion{}}
	for _, e := range s.Entries {
		out.All = append(out.All, api.ApplianceVersion{Version: string(e.Version), State: e.State(), Left: e.Left, Done: e.Done})
	}
	return out
}
