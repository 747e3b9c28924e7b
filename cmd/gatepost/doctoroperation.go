package main

import (
	"context"
	"os"
	"os/exec"

	examination "gatepost/cmd/gatepost/doctor"
	"gatepost/internal/control"
)

// doctorOperations are those by which the daemon has itself looked at.
func (d *daemon) doctorOperations() []control.Operation {
	return (&examination.Desk{Command: ownCommand, Config: d.configPath, Groups: doctorGroups()}).Operations()
}

// ownCommand is this program in a process of its own, without what surrounds ours but how programs find the files of the system.
// It may use a quarter of a gigabyte before it collects garbage hard.
func ownCommand(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = []string{"GOMEMLIMIT=256MiB", "GOMAXPROCS=2", "NO_COLOR=1"}
	for _, name := range [...]string{"SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR", "HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}
