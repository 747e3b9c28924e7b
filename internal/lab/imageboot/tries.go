package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"gatepost/appliance/backup"
	"gatepost/internal/api"
)

// settingsPath is where the API has gatepost.toml.
const settingsPath = "/appliance/settings"

// tries changes the settings of the appliance: those that are confirmed stay, and have backups made and the journal sent elsewhere from then on; and those with which the
// daemon cannot start are gone again without a hand.
func (l *life) tries(ctx context.Context) error {
	if err := l.on("settings on trial", true); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(l.builds, "gatepost.toml"))
	if err != nil {
		return err
	}
	private, public, err := backup.NewKey()
	if err != nil {
		return err
	}
	l.key = private
	good := fmt.Sprintf("%s\n[backup]\nevery = \"24h\"\nrecipients = [%q]\n\n[log]\nmachine = \"tcp:%s:601\"\n", text, public, sinkHost)
	if err := l.o.meets(); err != nil {
		return err
	}
	if err := l.o.sends(ctx, good); err != nil {
		return err
	}
	if err := l.o.settings("to try them", func(s *api.ApplianceSettings) bool { return s.Trial && s.Text == good && s.Until != nil }); err != nil {
		return err
	}
	if err := l.v.awaitLine(ctx, "Settings are on trial"); err != nil { // the screen
		return err
	}
	if err := l.o.ask(ctx, http.MethodPost, settingsPath+"/confirm", struct{}{}, nil); err != nil {
		return err
	}
	l.text = good
	l.v.took("settings tried and confirmed")
	err = l.o.await("the journal at the syslog server", func(context.Context) error {
		// Names of programs: the machine may be called gatepost as well.
		return l.logs.lacks(`kernel -`, `systemd 1`, `gatepost \d+`)
	})
	if err != nil {
		return err
	}
	l.v.took("the journal came to a syslog server")

	// The check cannot know that nothing can be written there.
	if err := l.o.sends(ctx, good+"[control]\nsocket = \"/nowhere/control.sock\"\n"); err != nil {
		return err
	}
	l.v.forget()
	if err := l.v.awaitLine(ctx, "gatepost-init: version "); err != nil {
		return fmt.Errorf("the machine does not restart by itself: %w", err)
	}
	l.v.took("restarted by itself")
	if err := l.o.settings("to have those before", func(s *api.ApplianceSettings) bool { return !s.Trial && s.Text == good && s.Over != nil }); err != nil {
		return err
	}
	l.v.took("the settings that were confirmed are in force")
	return l.off(ctx)
}

// sends has the appliance try settings, and waits until it has restarted for them.
func (o *owner) sends(ctx context.Context, text string) error {
	o.v.forget()
	if err := o.ask(ctx, http.MethodPost, settingsPath, &api.ApplianceSettingsTry{Text: text}, nil); err != nil {
		return err
	}
	if err := o.v.awaitLine(ctx, "gatepost-init: version "); err != nil {
		return err
	}
	o.v.took("restarted with settings on trial")
	return nil
}

// settings waits until they are as they must be.
func (o *owner) settings(what string, are func(*api.ApplianceSettings) bool) error {
	return o.await("the appliance "+what, func(ctx context.Context) error {
		s := new(api.ApplianceSettings)
		if err := o.ask(ctx, http.MethodGet, settingsPath, nil, s); err != nil {
			return err
		}
		if !are(s) {
			s.Text, s.Tried = strings.ToValidUTF8(s.Text[:min(len(s.Text), 300)], ""), ""
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}
