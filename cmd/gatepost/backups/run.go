package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/appliance/backup"
	"gatepost/appliance/backup/targets"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/durable"
)

// Here is the name of the target that is meant where none is named.
const Here = "here"

// recordFile is where the last outcomes are kept, in the state folder.
const recordFile = "backup.json"

// Outcome is what came of a target last.
type Outcome struct {
	Target string    `json:"target"`
	Tried  time.Time `json:"tried"`
	Good   time.Time `json:"good,omitzero"` // when a backup was last brought there, whole
	File   string    `json:"file,omitempty"`
	Octets int64     `json:"octets,omitempty"`
	Error  string    `json:"error,omitempty"` // why the last try failed; "": it did not
}

// Outcomes reads what came of each target last. None is kept yet: nothing, and no error.
func Outcomes(state string) ([]Outcome, error) {
	data, err := os.ReadFile(filepath.Join(state, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []Outcome
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	return out, err
}

// run makes one backup and brings it to each target.
func (s Shop) run(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "backup run")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	h := at(e, f.Config)
	if h == nil {
		return cli.Found
	}
	before, _ := Outcomes(h.b.StateDir) // one that cannot be read is written anew
	now, err := s.bring(ctx, e, h, f.Config)
	if err != nil { // no target got anything
		for _, t := range targetsOf(h.b) {
			now = append(now, Outcome{Target: t.Name, Tried: time.Now().UTC().Truncate(time.Second), Error: err.Error()})
		}
	}
	for i := range now {
		if j := slices.IndexFunc(before, func(o Outcome) bool { return o.Target == now[i].Target }); j >= 0 && now[i].Error != "" {
			now[i].Good, now[i].File, now[i].Octets = before[j].Good, before[j].File, before[j].Octets
		}
	}
	if !errors.Is(err, backup.ErrBusy) { // then the other one tells
		if err := keep(h.b.StateDir, now); err != nil {
			return complain(e, "run", err)
		}
	}
	return tell(e, f, now)
}

func tell(e cli.Env, f *cli.Flags, all []Outcome) int {
	code := cli.Done
	for i := range all {
		o := &all[i]
		switch {
		case o.Error != "":
			code = cli.Found
			if !f.JSON {
				fmt.Fprintf(e.Err, "%s: %s\n", cli.Shown(o.Target, 100), cli.Shown(o.Error, 500))
			}
		case !f.JSON:
			fmt.Fprintf(e.Out, "%s: %s, %d octets\n", cli.Shown(o.Target, 100), o.File, o.Octets)
		}
	}
	if f.JSON {
		cli.JSONLines(e, all)
	}
	return code
}

func keep(state string, all []Outcome) error {
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	// Its owner comes before its name: the daemon could not read a file that stayed root's.
	return durable.Write(filepath.Join(state, recordFile), 0o600, func(f *os.File) error {
		_, err := f.Write(append(data, '\n'))
		return errors.Join(err, backup.Give(f.Name(), state))
	})
}

// targetsOf are the targets of the configuration.
func targetsOf(b *config.Bootstrap) []config.BackupTarget { return targetsIn(b.StateDir, &b.Backup) }

func targetsIn(state string, b *config.Backup) []config.BackupTarget {
	if len(b.Targets) > 0 {
		return b.Targets
	}
	return []config.BackupTarget{{Name: Here, Directory: filepath.Join(state, backup.Folder)}}
}

// bring makes the backup in a folder of its own, from where it goes to each target.
func (s Shop) bring(ctx context.Context, e cli.Env, h *home, path string) ([]Outcome, error) {
	c := &h.b.Backup
	to, err := lock(c.Recipients, c.PassphraseFile)
	if err != nil {
		return nil, err
	}
	ours := filepath.Join(h.b.StateDir, backup.Folder)
	outgoing := filepath.Join(ours, ".outgoing")
	if err := errors.Join(os.MkdirAll(outgoing, 0o700), backup.Give(ours, h.b.StateDir), backup.Give(outgoing, h.b.StateDir)); err != nil {
		return nil, err
	}
	sweepOutgoing(outgoing)
	name := backup.FileName(h.b.Hostname, time.Now())
	file := filepath.Join(outgoing, name)
	m, err := backup.Create(ctx, s.plan(e, h, path, c.With), to, file)
	if err != nil {
		return nil, err
	}
	defer sweepOutgoing(outgoing)
	for _, l := range m.Left {
		fmt.Fprintf(e.Err, "not in it: %s\n", cli.Shown(l, 300))
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	var out []Outcome
	for _, t := range targetsOf(h.b) {
		o := Outcome{Target: t.Name, Tried: time.Now().UTC().Truncate(time.Second)}
		if err := targets.Bring(ctx, opener(&t), file, name, c.Keep); err != nil {
			o.Error = strings.TrimPrefix(err.Error(), "target: ")
		} else {
			o.Good, o.File, o.Octets = o.Tried, name, info.Size()
		}
		out = append(out, o)
	}
	return out, nil
}

// sweepOutgoing removes what was on its way, that of one that was killed too.
func sweepOutgoing(dir string) {
	all, _ := os.ReadDir(dir) // what cannot be listed stays, and the next one tries again
	for _, entry := range all {
		_ = os.Remove(filepath.Join(dir, entry.Name()))
	}
}
