package network

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatepost/internal/durable"
)

// Bounds of how long a change may be tried.
const (
	LeastTrial = 30 * time.Second
	MostTrial  = 10 * time.Minute
)

// Files of a change, below Run: a power cut ends a trial as its time does.
const (
	trialFile = "gatepost-network/trial.json"
	lockFile  = "gatepost-network/lock"
)

// What is said of a change that cannot be made.
const (
	onTrial = "other settings are on trial: confirm them, or wait until they are over"
	noTrial = "no settings are on trial: they were over, and what was before is in force"
)

// trial is a change that nobody has confirmed.
type trial struct {
	Until time.Time `json:"until"`
	Text  string    `json:"text"`
}

// locked does something while nobody else changes settings.
func (m *Machine) locked(do func() error) error {
	f, err := durable.Lock(filepath.Join(m.Run, lockFile))
	if err != nil {
		return err
	}
	defer f.Close()
	return do()
}

// onTrial is the change that is tried; nil: there is none.
func (m *Machine) onTrial() (*trial, error) {
	text, err := short(filepath.Join(m.Run, trialFile), 4*MaxFile)
	if text == nil || err != nil {
		return nil, err
	}
	t := new(trial)
	return t, json.Unmarshal(text, t)
}

// Change puts in force what an operator wants, in the form of Read, in place of all that he wanted before. Interfaces that change are only
// tried: until that time, at most within, Confirm must be called, or Revert at its end puts back what was before. All else is saved at once.
func (m *Machine) Change(text []byte, within time.Duration) (f *Found, err error) {
	s, err := Read("settings", text)
	if err != nil {
		return nil, err
	}
	clean, err := s.Text()
	if err != nil {
		return nil, err
	}
	if within < LeastTrial || within > MostTrial {
		return nil, fmt.Errorf("a trial takes between %s and %s", LeastTrial, MostTrial)
	}
	err = m.locked(func() error {
		if t, err := m.onTrial(); err != nil || t != nil {
			return cmp.Or(err, errors.New(onTrial))
		}
		before := m.Load()
		f = m.load(func(string) (*Settings, error) { return s, nil })
		if sameInterfaces(&before.Settings, &f.Settings) {
			if err := durable.WriteFile(filepath.Join(m.State, operatorFile), clean, 0o600); err != nil {
				return err
			}
			f.Saved = string(clean)
			return m.Apply(f)
		}
		f.Until = time.Now().Add(within).Round(time.Second)
		kept, err := json.Marshal(trial{Until: f.Until, Text: string(clean)})
		if err != nil {
			return err
		}
		if err := m.write(trialFile, string(kept)); err != nil {
			return err
		}
		return m.Apply(f)
	})
	return f, err
}

// Confirm saves what is on trial.
func (m *Machine) Confirm() (f *Found, err error) {
	err = m.locked(func() error {
		t, err := m.onTrial()
		if err != nil || t == nil {
			return cmp.Or(err, errors.New(noTrial))
		}
		if err := durable.WriteFile(filepath.Join(m.State, operatorFile), []byte(t.Text), 0o600); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(m.Run, trialFile)); err != nil {
			return err
		}
		f = m.Load()
		return m.Apply(f)
	})
	return f, err
}

// Revert puts back what was before the trial that ends at until. f is nil where that one is not on trial any more.
func (m *Machine) Revert(until time.Time) (f *Found, err error) {
	err = m.locked(func() error {
		t, err := m.onTrial()
		if err != nil || t == nil || !t.Until.Equal(until) {
			return err
		}
		if err := os.Remove(filepath.Join(m.Run, trialFile)); err != nil {
			return err
		}
		f = m.Load()
		f.trouble(errors.New("settings: what was tried was not confirmed in time, and what was before is in force again"))
		return m.Apply(f)
	})
	return f, err
}
