package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gatepost/internal/lab/mails"
)

// Where the data partition is in the image (appliance/image/disk.sh), in octets.
const dataStart = slotStart + 2*slotSize

// gatepostUser is the number of the daemon's user (appliance/image/users).
const gatepostUser = 210

// fails goes to a version that never finds itself well: it is booted three times, then the second runs again, with its own settings. They
// are written from outside, while the machine is off: its host name shows which are in force.
func (l *life) fails(ctx context.Context) error {
	if err := l.settings("before.corp.example"); err != nil {
		return err
	}
	if err := l.on("before a version that fails", false); err != nil {
		return err
	}
	if err := l.greets(ctx, "before.corp.example"); err != nil {
		return err
	}
	if err := l.o.meets(); err != nil {
		return err
	}
	if err := l.o.applies(ctx, l.built("gpu", failing), failing); err != nil {
		return err
	}
	if err := l.off(ctx); err != nil {
		return err
	}
	// As its owner would change them under the new version.
	if err := l.settings("after.corp.example"); err != nil {
		return err
	}
	if err := l.on("a version that fails", true); err != nil {
		return err
	}
	for try := 1; try <= 3; try++ {
		if err := l.v.awaitLine(ctx, "gatepost-init: version "+failing); err != nil {
			return fmt.Errorf("try %d: %w", try, err)
		}
		l.v.took(fmt.Sprintf("try %d begins", try))
		l.v.forget()
	}
	if err := l.v.awaitLine(ctx, "gatepost-init: version "+second); err != nil {
		return err
	}
	l.v.took("version " + second + " begins again")
	if err := l.greets(ctx, "before.corp.example"); err != nil {
		return err
	}
	return l.left(ctx)
}

// left is how it is after a version failed: the API says so, mail goes on, and it is no version that others are kept from.
func (l *life) left(ctx context.Context) error {
	if err := l.o.meets(); err != nil {
		return err
	}
	err := l.o.await("the status", func(ctx context.Context) error {
		a, err := l.o.status(ctx)
		if err == nil && (a.Running != second || a.Trial || state(&a, failing) != "failed" || state(&a, second) != "good") {
			err = fmt.Errorf("%+v", a)
		}
		return err
	})
	if err != nil {
		return err
	}
	had := len(l.sink.Messages())
	if code, said, err := l.v.insist(to(mails.ASCII)); err != nil || code != 250 {
		return fmt.Errorf("mail after a version that failed: %d %s %w", code, said, err)
	}
	if _, err := l.sink.Await(ctx, had+1); err != nil {
		return err
	}
	l.v.took("the version that failed is told, mail goes on")
	return l.off(ctx)
}

// greets waits for the banner with a host name.
func (l *life) greets(ctx context.Context, host string) error {
	return l.v.await(ctx, "the banner of "+host, func() error {
		said, err := l.v.dialogue()
		if err == nil && !strings.HasPrefix(said, "220 "+host) {
			err = fmt.Errorf("it greets with %q", said)
		}
		return err
	})
}

// settings writes the settings of the appliance, with a host name, while it is off.
func (l *life) settings(host string) error {
	file := filepath.Join(l.dir, "gatepost.toml")
	if err := os.WriteFile(file, []byte("hostname = \""+host+"\"\n"+l.text), 0o600); err != nil {
		return err
	}
	const name = "/lib/gatepost/settings/gatepost.toml"
	script := filepath.Join(l.dir, "debugfs")
	commands := "mkdir /lib/gatepost/settings\nrm " + name + "\nwrite " + file + " " + name + "\n"
	for _, of := range []string{"/lib/gatepost/settings", name} {
		commands += fmt.Sprintf("set_inode_field %s uid %d\nset_inode_field %s gid %d\n", of, gatepostUser, of, gatepostUser)
	}
	commands += "set_inode_field /lib/gatepost/settings mode 040700\n"
	if err := os.WriteFile(script, []byte(commands), 0o600); err != nil {
		return err
	}
	data := fmt.Sprintf("%s?offset=%d", l.disk, int64(dataStart))
	if out, err := exec.CommandContext(context.Background(), "debugfs", "-w", "-f", script, data).CombinedOutput(); err != nil {
		return fmt.Errorf("debugfs: %w: %s", err, out)
	}
	out, err := exec.CommandContext(context.Background(), "debugfs", "-R", "cat "+name, data).Output()
	if err != nil || !strings.Contains(string(out), host) {
		return fmt.Errorf("settings were not written: %w: %.500s", err, out)
	}
	return nil
}
