// Package forward has the journal of the appliance sent to the syslog server that the documents name: gatepost appliance forward. The
// leaf appliance/forward sends it.
package forward

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"gatepost/appliance/forward"
	"gatepost/internal/cli"
)

// Commands are those of gatepost appliance forward.
func Commands() []cli.Command {
	return []cli.Command{{Words: "appliance forward", Args: "[--config PATH]", Doc: "send the journal of the machine to log.machine, from where it was sent to on, until it is ended", Run: run}}
}

// run sends until ctx is done. Where nothing is named there is nothing to do.
func run(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance forward")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	c := e.Load(f.Config)
	if c == nil {
		return cli.Found
	}
	network, address, named := strings.Cut(c.Bootstrap.Log.Machine, ":")
	if !named { // none
		fmt.Fprintln(e.Err, "gatepost appliance forward: log.machine names no server; nothing is sent")
		return cli.Done
	}
	host := c.Bootstrap.Hostname
	if host == "" {
		host, _ = os.Hostname() // RFC 5424 has "-" for none
	}
	folder := cmp.Or(os.Getenv("STATE_DIRECTORY"), "/var/lib/gatepost-forward")
	err := forward.Run(ctx, forward.Options{Network: network, Address: address, Hostname: host, Place: filepath.Join(folder, "place"), Open: open})
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost appliance forward: %v\n", err)
		return cli.Found
	}
	return cli.Done
}

// open has journalctl read the journal: from behind a cursor on, or what this boot said. It ends with ctx.
func open(ctx context.Context, cursor string) (io.ReadCloser, error) {
	args := []string{"--follow", "--no-tail", "--all", "--output=json"}
	if cursor == "" {
		args = append(args, "--boot")
	} else { // --follow alone leaves out what boots before this one said
		args = append(args, "--merge", "--after-cursor="+cursor)
	}
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &reader{lines, cmd}, nil
}

// reader is what a program writes; closed, the program is over.
type reader struct {
	io.ReadCloser
	cmd *exec.Cmd
}

func (r *reader) Close() error {
	_ = r.cmd.Process.Kill() // where it is not over by itself
	_ = r.cmd.Wait()         // what ended it, its standard error tells
	return nil
}
