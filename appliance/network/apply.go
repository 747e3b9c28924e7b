package network

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Apply writes what systemd-networkd, unbound and chrony read below Run, takes away what an earlier one wrote and is not there any more, gives
// the kernel the host name, and leaves word of all of it. It does not have anybody read it again.
func (m *Machine) Apply(f *Found) error {
	files := f.Settings.Render()
	state, err := json.Marshal(f)
	if err != nil {
		return err
	}
	files[stateFile], files[troubleFile] = string(state), lines(f.Trouble)
	old, err := filepath.Glob(filepath.Join(m.Run, networkGlob))
	if err != nil {
		return err
	}
	for _, name := range append(old, filepath.Join(m.Run, clock)) {
		rel, err := filepath.Rel(m.Run, name)
		if err != nil {
			return err
		}
		if _, stays := files[rel]; !stays {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	for name, text := range files {
		if err := m.write(name, text); err != nil {
			return err
		}
	}
	if f.Settings.Hostname == "" || m.Kernel == "" {
		return nil
	}
	return os.WriteFile(m.Kernel, []byte(f.Settings.Hostname), 0o644)
}

// write puts a file in its place as one; below /run nothing outlasts a power cut.
func (m *Machine) write(name, text string) error {
	path := filepath.Join(m.Run, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// lines joins troubles, each as one line.
func lines(all []string) string {
	var b strings.Builder
	for _, t := range all {
		b.WriteString(strings.ReplaceAll(t, "\n", " ") + "\n")
	}
	return b.String()
}

// State is what Apply left word of last, below run. ErrNotExist: nobody applied anything, as on a machine that is no appliance.
func State(run string) (*Found, error) {
	text, err := short(filepath.Join(run, stateFile), 4*MaxFile)
	if err == nil && text == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	f := new(Found)
	return f, json.Unmarshal(text, f)
}
