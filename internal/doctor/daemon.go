package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNotRunning says that there is no daemon to ask.
var ErrNotRunning = errors.New("the daemon does not run")

// Daemon is what the daemon says of itself.
type Daemon struct {
	Version string
	Up      time.Duration
	Mode    string  // of its policy
	Policy  string  // the version that is in force
	OnDisk  string  // the version of the document as it is now
	Drained string  // why it sends clients elsewhere; "" while it does not
	Memory  float64 // share of its memory that is in use
	Parts   []Part
}

// Part is one part of its health.
type Part struct {
	Name   string
	OK     bool
	Detail string
}

// fullMemory is the share from which load is shed.
const fullMemory = 0.9

// lookDaemon asks the daemon what only it knows.
func (w *World) lookDaemon(ctx context.Context, r *Report) {
	p := r.at(0)
	d, err := w.AskDaemon(ctx)
	switch {
	case errors.Is(err, ErrNotRunning):
		p.fail("daemon.running", "", "it does not run, or not with this configuration: no mail comes in", "systemctl start gatepost; journalctl -u gatepost -n 50 tells why it ended")
		return
	case err != nil:
		p.unknown("daemon.running", "", "it could not be asked: "+err.Error(), "run gatepost doctor as root, or as the user of the daemon")
		return
	}
	p.ok("daemon.running", "", fmt.Sprintf("%s, up %s, mode %s, policy %s", d.Version, d.Up.Round(time.Second), d.Mode, d.Policy))
	switch {
	case d.OnDisk != d.Policy:
		p.warn("daemon.policy", "", "policy "+d.Policy+" is in force, and policy.toml is "+d.OnDisk+" by now", "gatepost check, then gatepost reload")
	case d.Mode == "observe" || d.Mode == "soft":
		p.warn("daemon.policy", "", "mode is "+d.Mode+": most verdicts are not carried out", w.key("mode", `"enforce"`)+"    once the log shows that it would refuse nothing that is wanted")
	default:
		p.ok("daemon.policy", "", "is that on disk")
	}
	if d.Drained != "" {
		p.warn("daemon.drain", "", d.Drained, "gatepost resume")
	}
	if d.Memory > fullMemory {
		p.warn("daemon.memory", "", fmt.Sprintf("%.0f %% of its memory is in use: load is shed", 100*d.Memory), "give it more (MemoryMax= of gatepost.service), or "+w.key("limits.connections", "fewer"))
	} else {
		p.ok("daemon.memory", "", fmt.Sprintf("%.0f %% of its memory is in use", 100*d.Memory))
	}
	for _, part := range d.Parts {
		// Without these no mail comes in; drain is told above.
		vital := slices.Contains([]string{"accept", "log", "spool"}, part.Name) || part.Name == "listeners" && d.Drained == ""
		switch {
		case part.OK:
			p.ok("daemon.part", part.Name, cmp.Or(part.Detail, "well"))
		case vital:
			p.fail("daemon.part", part.Name, part.Detail, "gatepost status; journalctl -u gatepost -n 50")
		default:
			p.warn("daemon.part", part.Name, part.Detail, "gatepost status; docs/faults.md tells what it means for mail")
		}
	}
}
