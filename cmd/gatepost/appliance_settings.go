package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	leaf "gatepost/appliance/settings"
	"gatepost/appliance/update"
	trials "gatepost/cmd/gatepost/settings"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// trying is what changes gatepost.toml of an appliance.
type trying struct {
	tries made[*trials.Desk]
}

// settingsDesk is made once: it knows when a trial ends.
func (d *daemon) settingsDesk() *trials.Desk {
	return d.tries.get(func() *trials.Desk {
		return &trials.Desk{Machine: leaf.Here(), Log: d.log, Check: d.checkSettings,
			Ask: func(ctx context.Context, do string) (*update.Answer, error) {
				return update.Ask(ctx, update.Socket, do, nil, nil)
			},
			Named: func() []string { return namedFiles(d.document.Load(), config.BootstrapIn(d.configPath)) }}
	})
}

func (d *daemon) applianceSettingsOperations() []control.Operation {
	return d.settingsDesk().Operations()
}

// runSettings ends a trial of settings, and has health tell of it.
func (d *daemon) runSettings(ctx context.Context) {
	desk := d.settingsDesk()
	if _, err := os.Stat(desk.Machine.Shown); err != nil {
		return // no appliance
	}
	defer d.journal.Health().Watch("settings", desk.Health)()
	desk.Run(ctx)
	<-ctx.Done()
}

// checkSettings says what is wrong with another text of gatepost.toml, as gatepost check does of the documents that lie there.
func (d *daemon) checkSettings(ctx context.Context, text []byte) config.Problems {
	return checkText(ctx, d.configPath, text, d.document.Load(), leaf.Here())
}

// checkText is checkSettings with what is in force now.
func checkText(ctx context.Context, path string, text []byte, now *config.Config, m *leaf.Machine) (all config.Problems) {
	c, all := config.LoadText(path, text, sections())
	if c != nil && c.Bootstrap.StateDir != now.Bootstrap.StateDir {
		line, column := lineOf(c.BootstrapAt["state_dir"])
		all = append(all, config.Problem{File: c.BootstrapPath, Line: line, Column: column, Key: "state_dir", Message: "is another folder than " + now.Bootstrap.StateDir + ", in which an appliance keeps all that it has", Instead: "leave it out"})
	}
	if c != nil && !all.Refused() {
		_, _ = construct(ctx, c, path, func(problems config.Problems) { all = append(all, problems...) })
		all = append(all, absent(c, text, path, now, m, all)...)
	}
	for i := range all {
		if filepath.IsAbs(all[i].File) && filepath.Base(all[i].File) == config.BootstrapFile {
			all[i].File = config.BootstrapFile // where it lies says nothing to whoever sends it
		}
	}
	return all
}

// absent are the files that a text names, and that the one in force does not, which are not there: all of them, since some are not read
// before they are needed.
func absent(c *config.Config, text []byte, path string, now *config.Config, m *leaf.Machine, told config.Problems) (out config.Problems) {
	file := config.BootstrapIn(path)
	before := namedFiles(now, file)
	for _, name := range namedFiles(c, file) {
		in := strings.HasPrefix(name, m.Path(""))
		if name == "" || slices.Contains(before, name) && !in || slices.ContainsFunc(slices.Concat(told, out), func(p config.Problem) bool { return !p.Warning && strings.Contains(p.Message, name) }) {
			continue
		}
		f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would hold us up
		if err == nil {
			f.Close()
			continue
		}
		p := config.Problem{File: config.BootstrapFile, Message: fmt.Sprintf("%s is not there, or cannot be read", name), Instead: "put the file there first, and name " + m.Path("NAME")}
		if in {
			p.Instead = "put it there first: gatepost appliance file put " + strings.TrimPrefix(name, m.Path(""))
		}
		if i := strings.Index(string(text), name); i >= 0 {
			p.Line, p.Column = 1+strings.Count(string(text[:i]), "\n"), 1
			for key := range c.BootstrapAt {
				if line, _ := lineOf(c.BootstrapAt[key]); line == p.Line {
					p.Key = key
				}
			}
		}
		out = append(out, p)
	}
	return out
}
