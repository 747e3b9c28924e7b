package alarm_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gatepost/internal/alarm"
	"gatepost/internal/alarm/storetest"
)

// faulty is a Store that fails while it is told to.
type faulty struct {
	alarm.File
	fault error
}

func (f *faulty) Save(ctx context.Context, list []alarm.Alarm) error {
	if f.fault != nil {
		return f.fault
	}
	return f.File.Save(ctx, list)
}

func ids(t *testing.T, s alarm.Store) (out []string) {
	t.Helper()
	list, err := s.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		out = append(out, list[i].ID)
	}
	return out
}

// TestCopied shows that what is at hand is kept whatever becomes of the copy, and that the copy is made whole once it can be.
func TestCopied(t *testing.T) {
	write := func(name string, text []byte, mode fs.FileMode) error { return os.WriteFile(name, text, mode) }
	name := filepath.Join(t.TempDir(), "alarms.json")
	storetest.Run(t, func(*testing.T) alarm.Store {
		return &alarm.Copied{AtHand: &alarm.File{Name: name, Write: write}, Copy: func() alarm.Store { return nil }}
	})
	ctx, at, far := context.Background(), new(alarm.File), &faulty{}
	var there alarm.Store
	c := &alarm.Copied{AtHand: at, Copy: func() alarm.Store { return there }}
	step := func(what string, want, copied []string, save, remove string) {
		t.Helper()
		var err error
		if save != "" {
			err = c.Save(ctx, []alarm.Alarm{{ID: save, Count: 1}})
		}
		if remove != "" {
			err = errors.Join(err, c.Remove(ctx, []string{remove}))
		}
		if err != nil || !slices.Equal(ids(t, at), want) || !slices.Equal(ids(t, far), copied) {
			t.Errorf("%s: %v; at hand %v, copied %v", what, err, ids(t, at), ids(t, far))
		}
	}
	step("there is no copy yet", []string{"a"}, nil, "a", "")
	there = far
	step("it is made whole", []string{"a", "b"}, []string{"a", "b"}, "b", "")
	far.fault = errors.New("away")
	step("it is away", []string{"b", "c"}, []string{"b"}, "c", "a")
	far.fault = nil
	step("it is back", []string{"b", "c", "d"}, []string{"b", "c", "d"}, "d", "")
	there = nil
	step("it is gone", []string{"c", "d"}, []string{"b", "c", "d"}, "", "b")
	there = far
	step("another has it", []string{"c", "d", "e"}, []string{"c", "d", "e"}, "e", "")
}
