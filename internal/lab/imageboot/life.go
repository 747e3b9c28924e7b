package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Versions that the life of an appliance goes through, as versions.sh makes them: the image of the first, and bundles of the others, of
// which the last never finds itself well.
const (
	first   = "1.0.0"
	second  = "1.0.1"
	failing = "1.0.2"
)

// all is how long a whole life may take.
const all = 3 * time.Hour

// life is an appliance with its owner, and a server behind it.
type life struct {
	dir    string // of its own
	builds string // where the versions are
	disk   string
	sink   *sink
	logs   *collector
	o      *owner
	v      *vm    // nil while it is off
	text   string // of gatepost.toml, as its owner has confirmed it; "" before
	key    string // that opens its backups; "" before it makes any
}

// live has an appliance live through all that it is made for: the first run, mail, an update. Short ends there; else also settings on
// trial, versions that fail, power cuts, a rollback, and all of it erased and restored.
func live(builds string, short bool) (err error) {
	dir, err := os.MkdirTemp("", "gatepost-image.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l := &life{dir: dir, builds: builds, disk: filepath.Join(dir, "disk.raw")}
	if err := copyDisk(l.built("raw", first), l.disk); err != nil {
		return err
	}
	if l.sink, err = newSink(); err != nil {
		return err
	}
	defer l.sink.close()
	if l.logs, err = newCollector(); err != nil {
		return err
	}
	defer l.logs.close()
	ctx, cancel := context.WithTimeout(context.Background(), all)
	defer cancel()
	steps := []func(context.Context) error{l.begins, l.updates}
	if !short {
		steps = append(steps, l.tries, l.fails, l.cutInMail, l.cutInUpdates, l.returns, l.anew)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return l.failed(err)
		}
	}
	return l.off(ctx)
}

func (l *life) built(kind, version string) string {
	return filepath.Join(l.builds, "gatepost-"+version+"."+kind)
}

// copyDisk makes a bigger disk of an image.
func copyDisk(image, disk string) error {
	if out, err := exec.Command("cp", "--sparse=always", image, disk).CombinedOutput(); err != nil {
		return fmt.Errorf("copy: %w: %s", err, out)
	}
	return os.Truncate(disk, 4<<30)
}

// on boots the appliance.
func (l *life) on(name string, frail bool) (err error) {
	l.v, err = start(hardware{dir: l.dir, disk: l.disk, ports: []int{25, 8443}, sink: l.sink.port.Addr(), logs: l.logs.l.Addr().String(), frail: frail, log: l.log()})
	if err != nil {
		return err
	}
	l.v.name = name
	if l.o == nil {
		l.o = newOwner(l.v)
	}
	l.o.v = l.v
	return nil
}

// off switches it off properly.
func (l *life) off(ctx context.Context) error {
	if l.v == nil {
		return nil
	}
	if err := l.v.ask("system_powerdown", nil, nil); err != nil {
		return l.failed(err)
	}
	select {
	case <-l.v.ended:
	case <-ctx.Done():
		return l.failed(ctx.Err())
	}
	l.v.kill()
	l.v = nil
	return nil
}

// cut takes its power.
func (l *life) cut() {
	l.v.took("power cut")
	l.v.kill()
	l.v = nil
}

// log is where all that is said on the serial line is kept.
func (l *life) log() string { return filepath.Join(l.builds, "serial.log") }

// failed switches the machine off, and tells what it said last.
func (l *life) failed(err error) error {
	if l.v == nil {
		return err
	}
	name := l.v.name
	l.v.kill()
	said, _ := l.v.said()
	l.v = nil
	return fmt.Errorf("%s: %w\n%s\n%s", name, err, tail(said), l.journal())
}

// journal keeps the journal of a disk that is off, and says where: it knows what the serial line does not.
func (l *life) journal() string {
	to := filepath.Join(l.builds, "journal")
	err := errors.Join(os.RemoveAll(to), os.Mkdir(to, 0o700))
	if err == nil {
		data := fmt.Sprintf("%s?offset=%d", l.disk, int64(dataStart))
		_ = exec.Command("e2fsck", "-fy", data).Run() // as the next boot would; it tells of what it mends by its exit code
		err = exec.Command("debugfs", "-R", "rdump /log/journal "+to, data).Run()
	}
	if err != nil {
		return "its journal could not be read: " + err.Error()
	}
	return "its journal: journalctl -D " + to + "/journal/*"
}

// begins goes from the first boot to mail at the sink.
func (l *life) begins(ctx context.Context) error {
	if err := l.on("first boot", false); err != nil {
		return err
	}
	if err := l.o.wizard(ctx); err != nil {
		return err
	}
	return l.o.mail(l.sink.GoSMTP)
}

// updates goes to the second version. The names on the ESP say the same as the appliance.
func (l *life) updates(ctx context.Context) error {
	if err := l.o.updated(ctx, l.built("gpu", second), second); err != nil {
		return err
	}
	if err := l.o.mail(l.sink.GoSMTP); err != nil {
		return err
	}
	if err := l.off(ctx); err != nil {
		return err
	}
	return l.entries(first, second)
}

// entries compares the boot entries of a disk that is off.
func (l *life) entries(want ...string) error {
	out, err := exec.Command("mdir", "-b", "-i", fmt.Sprintf("%s@@%d", l.disk, 1<<20), "::EFI/Linux").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mdir: %w: %s", err, out)
	}
	got := strings.Fields(string(out))
	for i := range want {
		want[i] = "::/EFI/Linux/gatepost_" + want[i] + ".efi"
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		return fmt.Errorf("the EFI system partition has %q, not %q", got, want)
	}
	return nil
}
