// Package settings is how an owner changes gatepost.toml of an appliance, and the files that it names: at the console, by the API and by gatepost
// appliance settings. What is new is tried for one boot, and gone again unless it is confirmed (package appliance/settings).
//
// The daemon has the rights for it, since the folder is its own; it asks the helper of root for the restart. No RFC applies here.
package settings

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	leaf "gatepost/appliance/settings"
	"gatepost/appliance/update"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// trialTime is how long settings are tried, from when the daemon serves with them, and again how long until a restart that failed is asked for once more.
const (
	trialTime = 10 * time.Minute
	againTime = time.Minute
)

// maxTold is how many problems of a text are told.
const maxTold = 100

// none is what is said where there is no appliance.
const none = "this machine is no appliance: edit /etc/gatepost/gatepost.toml"

func showQuestion() control.Operation {
	return control.Look("appliance settings", "/appliance/settings", "Show gatepost.toml of the appliance as it is in force, and whether it is on trial", access.ApplianceChange)
}

func tryQuestion() control.Operation {
	return control.Do("appliance settings try", "/appliance/settings", "Restart the appliance with another gatepost.toml, for one boot unless it is confirmed", access.ApplianceChange)
}

func confirmQuestion() control.Operation {
	return control.Do("appliance settings confirm", "/appliance/settings/confirm", "Keep the gatepost.toml that is on trial", access.ApplianceChange)
}

// Desk is what the operations work with.
type Desk struct {
	Machine *leaf.Machine
	// Ask asks the helper of root: update.DoStatus or update.DoRestart.
	Ask func(ctx context.Context, do string) (*update.Answer, error)
	// Check says what is wrong with another text of gatepost.toml, as gatepost check does.
	Check func(ctx context.Context, text []byte) config.Problems
	// Named are the files that the documents in force name.
	Named func() []string
	Log   *slog.Logger

	mu    sync.Mutex // what writes goes one after the other
	begun sync.Mutex
	until time.Time // of a trial; guarded by begun
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{
		control.Define(showQuestion(), d.show),
		control.Define(tryQuestion(), d.try),
		control.Define(confirmQuestion(), d.confirm),
		control.Define(listQuestion(), d.list),
		control.DefineUpload(putQuestion(), d.put),
		control.Define(removeQuestion(), d.remove),
	}
}

// Run ends a trial that nobody confirms in time, by a restart.
func (d *Desk) Run(ctx context.Context) {
	if !d.Machine.OnTrial() {
		return
	}
	d.begun.Lock()
	d.until = time.Now().Add(trialTime).Round(time.Second)
	d.begun.Unlock()
	d.Log.Warn("settings: they are on trial; the machine restarts with those before unless they are confirmed", "until", d.until)
	for wait := trialTime; ; wait = againTime {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if !d.Machine.OnTrial() {
			return
		}
		d.Log.Warn("settings: nobody confirmed what was tried; the machine restarts with those before")
		if _, err := d.Ask(ctx, update.DoRestart); err != nil {
			d.Log.Error("settings: the machine cannot be restarted", "error", err)
		}
	}
}

// Health tells of a trial.
func (d *Desk) Health() (bool, string) {
	s, err := d.Machine.State(time.Now())
	switch {
	case err != nil:
		return false, err.Error()
	case s.OnTrial:
		text := "on trial: the machine restarts with those before unless they are confirmed"
		if until := d.ends(); until != nil {
			text += ", at " + until.UTC().Format("15:04 MST")
		}
		return true, text
	case !s.Over.IsZero():
		return true, "those sent at " + s.Over.UTC().Format("15:04 MST") + " were tried and not confirmed: the ones before are in force"
	}
	return true, ""
}

// ends is when a trial does; nil: it has not begun.
func (d *Desk) ends() *time.Time {
	d.begun.Lock()
	defer d.begun.Unlock()
	if d.until.IsZero() {
		return nil
	}
	until := d.until
	return &until
}

// refused is what is not done, in words for people.
func refused(status int, err error) error {
	return &control.Fault{Status: status, Message: err.Error()}
}

// appliance fails where this machine is none, and returns what the helper says.
func (d *Desk) appliance(ctx context.Context) (*update.Status, error) {
	a, err := d.Ask(ctx, update.DoStatus)
	if errors.Is(err, update.ErrNoAppliance) {
		return nil, &control.Fault{Status: http.StatusConflict, Message: none}
	}
	if err != nil {
		return nil, refused(http.StatusConflict, err)
	}
	return a.Status, nil
}

func (d *Desk) show(ctx context.Context, _ *struct{}) (*api.ApplianceSettings, error) {
	if _, err := d.Ask(ctx, update.DoStatus); errors.Is(err, update.ErrNoAppliance) {
		return &api.ApplianceSettings{None: none}, nil
	}
	return d.state()
}

func (d *Desk) state() (*api.ApplianceSettings, error) {
	s, err := d.Machine.State(time.Now())
	if err != nil {
		return nil, err
	}
	out := &api.ApplianceSettings{Text: s.Text, Image: s.Image, Trial: s.OnTrial, Waits: s.Waits, Tried: s.Tried, Folder: d.Machine.Path("")}
	if s.OnTrial {
		out.Until = d.ends()
	}
	if !s.Over.IsZero() {
		out.Over = &s.Over
	}
	return out, nil
}

// keysOf is what the audit log is told of a change: keys, and no values, which may be secret.
func keysOf(before, after string) control.Change {
	keys := []string{}
	if all, err := config.Compare([]byte(before), []byte(after)); err == nil {
		for _, x := range all[:min(len(all), maxTold)] {
			keys = append(keys, x.Key)
		}
	}
	return control.Change{Object: "settings", After: map[string][]string{"changed": slices.Compact(slices.Sorted(slices.Values(keys)))}}
}

func (d *Desk) try(ctx context.Context, in *api.ApplianceSettingsTry) (*api.ApplianceSettings, error) {
	text := strings.ReplaceAll(in.Text, "\r\n", "\n")
	control.Changed(ctx, control.Change{Object: "settings"})
	if len(text) > leaf.MaxText {
		return nil, &control.Fault{Status: http.StatusRequestEntityTooLarge, Field: "text", Message: "the text has more than 256 KiB"}
	}
	status, err := d.appliance(ctx)
	switch {
	case err != nil:
		return nil, err
	case status.Trial:
		return nil, &control.Fault{Status: http.StatusConflict, Message: "this version is on trial: wait until it stays, or is gone"}
	case status.Next != status.Running:
		return nil, &control.Fault{Status: http.StatusConflict, Message: "version " + string(status.Next) + " is booted next: restart the appliance first"}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before, err := d.Machine.State(time.Now())
	if err != nil {
		return nil, err
	}
	control.Changed(ctx, keysOf(before.Text, text))
	problems := d.Check(ctx, []byte(text))
	if problems.Refused() {
		return nil, &control.Fault{Status: http.StatusUnprocessableEntity, Field: "text", Message: strings.Join(lines(problems, false), "\n"), Hint: "nothing was changed"}
	}
	if err := d.Machine.Try([]byte(text)); err != nil {
		return nil, err
	}
	d.Log.Warn("settings: others are tried at the restart that is asked for now", "by", access.Of(ctx).Name)
	if _, err := d.Ask(ctx, update.DoRestart); err != nil {
		if back := d.Machine.Withdraw(); back != nil {
			return nil, refused(http.StatusConflict, errors.Join(err, back, errors.New("the next start tries them")))
		}
		return nil, refused(http.StatusConflict, errors.Join(err, errors.New("nothing was changed")))
	}
	out, err := d.state()
	if err == nil {
		out.Warnings = lines(problems, true)
	}
	return out, err
}

// lines are problems, one a line: those that refuse, or the warnings.
func lines(problems config.Problems, warnings bool) (out []string) {
	for _, p := range problems {
		if p.Warning == warnings && len(out) < maxTold {
			out = append(out, p.String())
		}
	}
	return out
}

func (d *Desk) confirm(ctx context.Context, _ *struct{}) (*api.ApplianceSettings, error) {
	control.Changed(ctx, control.Change{Object: "settings"})
	if _, err := d.appliance(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	was, err := d.Machine.Before()
	if err != nil {
		was = nil // what could not be read is replaced
	}
	err = d.Machine.Confirm()
	if errors.Is(err, leaf.ErrNoTrial) {
		return nil, refused(http.StatusConflict, err)
	}
	if err != nil {
		return nil, err
	}
	out, err := d.state()
	if err == nil {
		control.Changed(ctx, keysOf(string(was), out.Text))
	}
	return out, err
}
