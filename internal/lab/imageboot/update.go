package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"gatepost/internal/api"
)

// update gives a bundle to the appliance.
func (o *owner) update(ctx context.Context, bundle io.Reader) (a api.Appliance, err error) {
	return a, o.api(ctx, http.MethodPost, "/appliance/update", bundle, "application/octet-stream", &a)
}

// state is that of a version, by what the API says; "" where there is none.
func state(a *api.Appliance, version string) string {
	for _, v := range a.All {
		if v.Version == version {
			return v.State
		}
	}
	return ""
}

// applies gives a bundle of a version to the appliance: one with a flipped octet is refused, the right one is booted next.
func (o *owner) applies(ctx context.Context, file, version string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// In the middle of the root, which is the greater part.
	if _, err := o.update(ctx, &flipped{f, info.Size() / 2}); err == nil || !strings.Contains(err.Error(), "answers 409") {
		return fmt.Errorf("a bundle with a flipped octet: %w", err)
	}
	o.v.took("a bundle with a flipped octet refused")
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	a, err := o.update(ctx, f)
	if err != nil {
		return err
	}
	if a.Next != version || state(&a, version) != "waits" {
		return fmt.Errorf("after the update: %+v", a)
	}
	o.v.took("update to " + version + " applied")
	return nil
}

// flipped is a reader in which one octet is another.
type flipped struct {
	io.Reader
	at int64 // how many octets come before it
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 1
	}
	f.at -= int64(n)
	return n, err
}

// restarts has the machine restart, and waits until a slot was verified.
func (o *owner) restarts(ctx context.Context, slot string) error {
	o.v.forget()
	if err := o.ask(ctx, http.MethodPost, "/appliance/restart", struct{}{}, nil); err != nil {
		return err
	}
	if err := o.v.awaitLine(ctx, "gatepost-init: slot "+slot+" verified"); err != nil {
		return err
	}
	o.v.took("slot " + slot + " verified after the restart")
	return nil
}

// runs waits until the API says that a version runs from a slot and is good, and that no other is on trial.
func (o *owner) runs(version, slot string) error {
	return o.await("version "+version+" to be good", func(ctx context.Context) error {
		a, err := o.status(ctx)
		if err != nil {
			return err
		}
		if a.Running != version || a.Slot != slot || a.Trial || state(&a, version) != "good" {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
}

// updated updates to a second version, and has it found good: it runs from the other slot, with the settings and the log of the first.
func (o *owner) updated(ctx context.Context, file, version string) error {
	before, err := o.logged(ctx)
	if err != nil {
		return err
	}
	if err := o.applies(ctx, file, version); err != nil {
		return err
	}
	if err := o.restarts(ctx, "b"); err != nil {
		return err
	}
	if err := o.runs(version, "b"); err != nil {
		return err
	}
	o.v.took("version " + version + " found good")
	return o.remembers(ctx, before)
}

// remembers looks whether the log still has what it had.
func (o *owner) remembers(ctx context.Context, before []string) error {
	after, err := o.logged(ctx)
	if err != nil {
		return err
	}
	for _, id := range before {
		if !slices.Contains(after, id) {
			return errors.New("the log has lost " + id)
		}
	}
	return nil
}

// logged are the references of the newest rows of the log.
func (o *owner) logged(ctx context.Context) (out []string, err error) {
	var page api.LogPage
	if err := o.ask(ctx, http.MethodGet, "/log?limit=100", nil, &page); err != nil {
		return nil, err
	}
	for _, r := range page.Rows {
		out = append(out, r.ID.String())
	}
	return out, nil
}
