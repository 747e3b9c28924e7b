// Package network is what gatepost appliance network does: at the start of the appliance it renders the settings of the network; later the
// daemon, which has no right to change them, asks a helper of root.
//
// The leaf appliance/network reads and words them. No RFC applies here.
package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"gatepost/appliance/network"
	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// settleTime is how long is waited for devices that the kernel has found and that have no node yet.
const settleTime = 15 * time.Second

// defaultTrial is how long interfaces that change are tried where nobody says.
const defaultTrial = 3 * time.Minute

// Commands are those of gatepost appliance network.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "appliance network set", Args: "FILE [--within 3m] [--config PATH] [--json]", Doc: "set up the network of the appliance; interfaces that change are tried, and come back unless they are confirmed", Run: set},
		{Words: "appliance network confirm", Args: "[--config PATH] [--json]", Doc: "keep the settings of the network that are on trial", Run: confirm},
		{Words: "appliance name", Args: "NAME [--config PATH] [--json]", Doc: "give the appliance a host name; the gateway restarts under it", Run: name},
		{Words: "appliance serve-network", Doc: "change the settings of the network with the rights of root, for whoever is at the other end of fd 0; systemd starts it", Run: serve},
		{Words: "appliance network render", Doc: "write what systemd-networkd, unbound and chrony read of the settings of the network; systemd starts it", Run: render},
		{Words: "appliance network", Args: "[--config PATH] [--json]", Doc: "show how the network of the appliance is set up, and by which place", Run: show}, // behind those that begin with it
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

// serve is the helper of root. fd 0 is the connection: systemd took it.
func serve(ctx context.Context, e cli.Env, _ []string) int {
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost appliance serve-network: fd 0 is no connection: %v\n", err)
		return cli.Usage
	}
	m := here(ctx)
	m.Blocks = "" // a volume is read at the start
	h := &network.Helper{Machine: m, Log: func(format string, args ...any) { fmt.Fprintf(e.Err, format+"\n", args...) },
		Reload: func(before, now *network.Settings) error { return reload(ctx, network.Changed(before, now)) }}
	if err := h.Serve(ctx, conn); err != nil {
		return cli.Complain(e, "appliance serve-network", err)
	}
	return cli.Done
}

// reload has those who read settings read them again.
func reload(ctx context.Context, changed []string) error {
	var all []error
	for _, what := range changed {
		args := map[string][]string{
			"interfaces": {"networkctl", "reload"},
			"dns":        {"systemctl", "--no-block", "try-restart", "unbound.service"},
			"ntp":        {"systemctl", "--no-block", "try-restart", "chrony.service"},
			"hostname":   {"systemctl", "--no-block", "try-restart", "gatepost.service", "gatepost-screen.service"},
		}[what]
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			all = append(all, fmt.Errorf("%s: %w %s", strings.Join(args, " "), err, out))
		}
	}
	return errors.Join(all...)
}

func show(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance network")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Network](ctx, e, f, showQuestion(), &struct{}{})
	return reply(e, f, "appliance network", out, err)
}

func set(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "appliance network set"), new(api.NetworkSet)
	f.DurationVar(&in.Within, "within", defaultTrial, "")
	name, ok := f.One(e, args, "name a file with settings, as docs/appliance.md has them; - is the standard input")
	if !ok {
		return cli.Usage
	}
	text, err := e.Read(name, network.MaxFile)
	if err != nil {
		return cli.Complain(e, "appliance network set", err)
	}
	in.Settings = string(text)
	out, err := cli.Call[api.Network](ctx, e, f, setQuestion(), in)
	return reply(e, f, "appliance network set", out, err)
}

func confirm(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance network confirm")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Network](ctx, e, f, confirmQuestion(), &struct{}{})
	return reply(e, f, "appliance network confirm", out, err)
}

func name(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance name")
	host, ok := f.One(e, args, "write a fully qualified name, as mx.example.org")
	if !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Network](ctx, e, f, nameQuestion(), &api.NetworkName{Hostname: host})
	return reply(e, f, "appliance name", out, err)
}

// reply shows how the network is set up. What could not be used, and a machine that is no appliance, are a finding.
func reply(e cli.Env, f *cli.Flags, what string, out *api.Network, err error) int {
	code := cli.Reply(e, f, what, out, err, func(n *api.Network) { tell(e.Out, n) })
	if code == cli.Done && (out.None != "" || len(out.Trouble) > 0) {
		return cli.Found
	}
	return code
}

func tell(w io.Writer, n *api.Network) {
	if n.None != "" {
		fmt.Fprintln(w, cli.Shown(n.None, 400))
		return
	}
	for _, p := range n.Ports {
		state := "down"
		if p.Up {
			state = "up"
		}
		fmt.Fprintf(w, "%s %s, %s", cli.Shown(p.Name, 40), cli.Shown(p.MAC, 40), state)
		for _, a := range p.Addresses {
			fmt.Fprintf(w, ", %s", a)
		}
		fmt.Fprintln(w)
	}
	for _, part := range []string{"hostname", "dns", "ntp", "interfaces"} {
		fmt.Fprintf(w, "%s: from %s\n", part, cli.Shown(n.From[part], 40))
	}
	for line := range strings.Lines(n.Settings) {
		fmt.Fprintf(w, "  %s\n", cli.Shown(strings.TrimRight(line, "\n"), 200))
	}
	for _, t := range n.Trouble {
		fmt.Fprintf(w, "! %s\n", cli.Shown(t, 400))
	}
	if n.Until != nil {
		fmt.Fprintf(w, "on trial until %s: gatepost appliance network confirm keeps it, by the new address\n", cli.Stamp(*n.Until))
	}
}
