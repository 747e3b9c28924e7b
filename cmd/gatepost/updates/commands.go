package updates

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"

	"gatepost/appliance/settings"
	"gatepost/appliance/update"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// Commands are those of gatepost appliance that are about its version.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "appliance status", Args: "[--config PATH] [--json]", Doc: "show which versions the appliance has, and which is booted next", Run: asking(statusQuestion())},
		{Words: "appliance update", Args: "FILE [--config PATH] [--json]", Doc: "apply a signed update: it is booted at the next restart, and stays if it finds itself well", Run: apply},
		{Words: "appliance rollback", Args: "[--config PATH] [--json]", Doc: "have the version before booted at the next restart", Run: asking(rollbackQuestion())},
		{Words: "appliance restart", Args: "[--config PATH] [--json]", Doc: "restart the appliance", Run: asking(restartQuestion())},
		{Words: "appliance serve-update", Doc: "apply and go back with the rights of root, for whoever is at the other end of fd 0; systemd starts it", Run: serve},
		{Words: "appliance booted", Doc: "put the configuration of this version back where a newer one ran before it; systemd starts it", Run: booted},
	}
}

// asking is a command that asks for what has no arguments, and bears the name of the command.
func asking(o control.Operation) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		f := cli.NewFlags(e, o.Name)
		if _, ok := f.Read(e, args, 0); !ok {
			return cli.Usage
		}
		out, err := cli.Call[api.Appliance](ctx, e, f, o, &struct{}{})
		return reply(e, f, o.Name, out, err)
	}
}

// reply shows how the appliance is. A version that failed, and a machine that is none, are a finding.
func reply(e cli.Env, f *cli.Flags, what string, out *api.Appliance, err error) int {
	code := cli.Reply(e, f, what, out, err, func(a *api.Appliance) { show(e.Out, a) })
	if code == cli.Done && (out.None != "" || slices.ContainsFunc(out.All, func(v api.ApplianceVersion) bool { return v.State == "failed" })) {
		return cli.Found
	}
	return code
}

func show(w io.Writer, a *api.Appliance) {
	if a.None != "" {
		fmt.Fprintln(w, cli.Shown(a.None, 400))
		return
	}
	trial := ""
	if a.Trial {
		trial = ", on trial"
	}
	fmt.Fprintf(w, "version %s runs, from slot %s%s\n", cli.Shown(a.Running, 40), cli.Shown(a.Slot, 10), trial)
	for _, v := range a.All {
		fmt.Fprintf(w, "  %-12s %s\n", cli.Shown(v.Version, 40), v.Words())
	}
	if a.Next != a.Running {
		fmt.Fprintf(w, "version %s is booted next: gatepost appliance restart\n", cli.Shown(a.Next, 40))
	}
	if a.Back == "" {
		fmt.Fprintln(w, "there is no version to go back to")
	} else {
		fmt.Fprintf(w, "version %s can be gone back to\n", cli.Shown(a.Back, 40))
	}
}

func apply(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance update")
	name, ok := f.One(e, args, "name the file of the update, gatepost-<version>.gpu")
	if !ok {
		return cli.Usage
	}
	file, err := os.Open(name)
	if err != nil {
		return cli.Complain(e, "appliance update", err)
	}
	defer file.Close()
	out, err := cli.Upload[api.Appliance](ctx, e, f, updateQuestion(), &struct{}{}, file)
	return reply(e, f, "appliance update", out, err)
}

// find is this machine, with what of the state a version is configured by.
func find() (*update.Machine, error) {
	m, err := update.Find("/")
	if err == nil {
		m.Config, m.Files = "/var/lib/gatepost", []string{"settings/", "settings/files/"}
		m.Not = settings.Trials("")
	}
	return m, err
}

// serve is the helper of root. fd 0 is the connection: systemd took it.
func serve(ctx context.Context, e cli.Env, _ []string) int {
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost appliance serve-update: fd 0 is no connection: %v\n", err)
		return cli.Usage
	}
	h := &update.Helper{Find: find,
		Restart: func() error { return exec.CommandContext(ctx, "systemctl", "reboot").Run() },
		Log:     func(format string, args ...any) { fmt.Fprintf(e.Err, format+"\n", args...) }}
	if err := h.Serve(conn); err != nil {
		return cli.Complain(e, "appliance serve-update", err)
	}
	return cli.Done
}

func booted(_ context.Context, e cli.Env, _ []string) int {
	m, err := find()
	if err == nil {
		var back bool
		if back, err = m.Booted(); back {
			fmt.Fprintf(e.Err, "the configuration of version %s is put back: a newer one ran before it\n", m.Running)
		}
	}
	if err != nil {
		return cli.Complain(e, "appliance booted", err)
	}
	return cli.Done
}
