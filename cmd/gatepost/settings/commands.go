package settings

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	leaf "gatepost/appliance/settings"
	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// endAfter is how long after the start of the machine a trial ends whatever the daemon does: it ends its own before, where it can.
const endAfter = 15 * time.Minute

// Commands are those of gatepost appliance settings and gatepost appliance file.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "appliance settings try", Args: "FILE [--config PATH] [--json]", Doc: "restart the appliance with another gatepost.toml: it is on trial, and gone at the next start unless it is confirmed", Run: try},
		{Words: "appliance settings confirm", Args: "[--config PATH] [--json]", Doc: "keep the gatepost.toml that is on trial", Run: confirm},
		{Words: "appliance settings boot", Doc: "show the settings of this boot where the daemon looks for them; systemd starts it", Run: func(_ context.Context, e cli.Env, args []string) int {
			return boot(e, args, leaf.Here())
		}},
		{Words: "appliance settings end", Doc: "restart the machine where settings are on trial and the daemon does not serve, or a quarter of an hour has passed; systemd starts it", Run: end},
		{Words: "appliance settings", Args: "[--config PATH] [--json]", Doc: "show gatepost.toml of the appliance as it is in force, and whether it is on trial", Run: show}, // behind those that begin with it
		{Words: "appliance file put", Args: "NAME [--config PATH] [--json]", Doc: "keep the standard input as a file that gatepost.toml can name", Run: put},
		{Words: "appliance file list", Args: "[--config PATH] [--json]", Doc: "list the files that gatepost.toml can name, without what is in them", Run: list},
		{Words: "appliance file remove", Args: "NAME [--config PATH] [--json]", Doc: "remove a file that gatepost.toml does not name", Run: remove},
	}
}

func show(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance settings")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.ApplianceSettings](ctx, e, f, showQuestion(), &struct{}{})
	code := cli.Reply(e, f, "appliance settings", out, err, func(s *api.ApplianceSettings) { tell(e.Out, e.Err, s) })
	if code == cli.Done && out.None != "" {
		return cli.Found
	}
	return code
}

// tell writes the text where it can be kept as a file, and all else beside it.
func tell(w, beside io.Writer, s *api.ApplianceSettings) {
	if s.None != "" {
		fmt.Fprintln(beside, cli.Shown(s.None, 400))
		return
	}
	for line := range strings.Lines(s.Text) {
		fmt.Fprintln(w, cli.Shown(strings.TrimRight(line, "\r\n"), leaf.MaxText))
	}
	for _, text := range s.Warnings {
		fmt.Fprintln(beside, cli.Shown(text, 400))
	}
	switch {
	case s.Trial && s.Until != nil:
		fmt.Fprintf(beside, "on trial: the appliance restarts at %s with those before. gatepost appliance settings confirm keeps these\n", cli.Stamp(*s.Until))
	case s.Trial:
		fmt.Fprintln(beside, "on trial: the next start has those before. gatepost appliance settings confirm keeps these")
	case s.Image:
		fmt.Fprintln(beside, "these are the settings of the image")
	}
	if s.Waits {
		fmt.Fprintln(beside, "others are tried by the next start")
	}
	if s.Over != nil {
		fmt.Fprintf(beside, "others, sent at %s, were tried and not confirmed\n", cli.Stamp(*s.Over))
	}
}

func try(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance settings try")
	name, ok := f.One(e, args, "name a file, as gatepost.toml has to be; - is the standard input")
	if !ok {
		return cli.Usage
	}
	text, err := e.Read(name, leaf.MaxText)
	if err != nil {
		return cli.Complain(e, "appliance settings try", err)
	}
	out, err := cli.Call[api.ApplianceSettings](ctx, e, f, tryQuestion(), &api.ApplianceSettingsTry{Text: string(text)})
	return cli.Reply(e, f, "appliance settings try", out, err, func(s *api.ApplianceSettings) {
		for _, text := range s.Warnings {
			fmt.Fprintln(e.Err, cli.Shown(text, 400))
		}
		fmt.Fprintln(e.Out, "it restarts, and tries them: gatepost appliance settings confirm keeps them, within ten minutes")
	})
}

func confirm(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance settings confirm")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.ApplianceSettings](ctx, e, f, confirmQuestion(), &struct{}{})
	return cli.Reply(e, f, "appliance settings confirm", out, err, func(*api.ApplianceSettings) { fmt.Fprintln(e.Out, "the settings stay") })
}

// boot shows the settings of this boot.
func boot(e cli.Env, args []string, m *leaf.Machine) int {
	if _, ok := cli.NewFlags(e, "appliance settings boot").Read(e, args, 0); !ok {
		return cli.Usage
	}
	tried, trial, err := m.Boot()
	if trial != nil {
		fmt.Fprintf(e.Err, "the settings that were to be tried are not: %v\n", trial)
	}
	if err != nil {
		return cli.Complain(e, "appliance settings boot", err)
	}
	if tried {
		fmt.Fprintln(e.Err, "other settings are on trial in this boot")
	}
	return cli.Done
}

// end is for systemd, when the daemon failed, and some time after the start of the machine.
func end(ctx context.Context, e cli.Env, args []string) int {
	if _, ok := cli.NewFlags(e, "appliance settings end").Read(e, args, 0); !ok {
		return cli.Usage
	}
	err := ended(leaf.Here(), sinceBoot(), func() bool {
		return exec.CommandContext(ctx, "systemctl", "is-active", "--quiet", "gatepost.service").Run() == nil
	}, func() error {
		fmt.Fprintln(e.Err, "nobody confirmed the settings that were tried: the machine restarts with those before")
		return exec.CommandContext(ctx, "systemctl", "reboot").Run()
	})
	if err != nil {
		return cli.Complain(e, "appliance settings end", err)
	}
	return cli.Done
}

// ended restarts where a trial is over. The next boot tries nothing, so that this is no circle.
func ended(m *leaf.Machine, up time.Duration, serves func() bool, restart func() error) error {
	if !m.OnTrial() || up < endAfter && serves() {
		return nil
	}
	return restart()
}

// sinceBoot is how long the machine runs. /proc/uptime is not to be seen in the sandbox of the unit.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return endAfter
	}
	return time.Duration(t.Nano())
}

func put(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance file put")
	name, ok := f.One(e, args, "give the file a name, as ldap-password; what is in it is the standard input")
	if !ok {
		return cli.Usage
	}
	from, err := e.Open("-")
	if err != nil {
		return cli.Complain(e, "appliance file put", err)
	}
	defer from.Close()
	out, err := cli.Upload[api.ApplianceFiles](ctx, e, f, putQuestion(), &fileIn{Name: name}, from)
	return cli.Reply(e, f, "appliance file put", out, err, func(a *api.ApplianceFiles) {
		fmt.Fprintf(e.Out, "%s%s is kept\n", a.Folder, name)
		if a.Note != "" {
			fmt.Fprintln(e.Out, cli.Shown(a.Note, 2000))
		}
	})
}

func list(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance file list")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.ApplianceFiles](ctx, e, f, listQuestion(), &struct{}{})
	code := cli.Reply(e, f, "appliance file list", out, err, func(a *api.ApplianceFiles) { tellFiles(e.Out, a) })
	if code == cli.Done && out.None != "" {
		return cli.Found
	}
	return code
}

func tellFiles(w io.Writer, a *api.ApplianceFiles) {
	if a.None != "" {
		fmt.Fprintln(w, cli.Shown(a.None, 400))
		return
	}
	fmt.Fprintf(w, "in %s:\n", a.Folder)
	for _, x := range a.Files {
		used := ""
		if x.Used {
			used = "  in use"
		}
		fmt.Fprintf(w, "  %-24s %6d  %s  %s%s\n", cli.Shown(x.Name, 64), x.Octets, cli.Stamp(x.Time), x.SHA256, used)
	}
}

func remove(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance file remove")
	name, ok := f.One(e, args, "name the file, as gatepost appliance file list shows it")
	if !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.ApplianceFiles](ctx, e, f, removeQuestion(), &fileIn{Name: name})
	return cli.Reply(e, f, "appliance file remove", out, err, func(*api.ApplianceFiles) { fmt.Fprintln(e.Out, "it is removed") })
}
