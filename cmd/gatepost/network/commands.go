// Package network is what gatepost appliance network does: at the start of the appliance it renders the settings of the network.
//
// The leaf appliance/network reads and words them. No RFC applies here.
package network

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"gatepost/appliance/network"
	"gatepost/internal/cli"
)

// settleTime is how long is waited for devices that the kernel has found and that have no node yet.
const settleTime = 15 * time.Second

// Commands are those of gatepost appliance network.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "appliance network render", Doc: "write what systemd-networkd, unbound and chrony read of the settings of the network; systemd starts it", Run: render},
	}
}

// here is this machine.
func here(ctx context.Context) *network.Machine {
	return &network.Machine{State: "/var/lib/appliance/network", Run: "/run", Cmdline: "/proc/cmdline", Credentials: os.Getenv("CREDENTIALS_DIRECTORY"),
		Blocks: "/sys/class/block", Nodes: "/dev", Kernel: "/proc/sys/kernel/hostname",
		Settle: func() {
			ctx, done := context.WithTimeout(ctx, settleTime)
			defer done()
			_ = exec.CommandContext(ctx, "udevadm", "settle", "--timeout=10").Run() // what is there by then is looked at
		}}
}

func render(ctx context.Context, e cli.Env, args []string) int {
	if _, ok := cli.NewFlags(e, "appliance network render").Read(e, args, 0); !ok {
		return cli.Usage
	}
	m := here(ctx)
	f := m.Load()
	for _, t := range f.Trouble {
		fmt.Fprintf(e.Err, "gatepost appliance network: %s\n", t)
	}
	if err := m.Apply(f); err != nil {
		return cli.Complain(e, "appliance network render", err)
	}
	return cli.Done
}
