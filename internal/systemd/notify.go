package systemd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// sendTime is how long the service manager may take to read one message.
const sendTime = time.Second

// errBusy says that the service manager does not read.
var errBusy = errors.New("systemd: the service manager does not read what we say")

// Notifier tells the service manager how the service is. It is safe for concurrent use; messages arrive in the order of the
// calls. Where nobody asked to be told it does nothing, so that no caller needs to look.
type Notifier struct {
	on       bool
	watchdog time.Duration
	mu       sync.Mutex
	stuck    chan error // of a message that was not read in time; nil else
}

// NewNotifier reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. A watchdog time that cannot be read is an error, since
// the manager would end us for not answering it.
func NewNotifier() (*Notifier, error) {
	n := &Notifier{on: os.Getenv("NOTIFY_SOCKET") != ""}
	if !n.on {
		return n, nil
	}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(true); err != nil {
		return nil, fmt.Errorf("systemd: %w", err)
	}
	return n, nil
}

// Watched is how often the manager wants to hear that the service lives (WatchdogSec=); 0: not at all. Tell it twice in
// that time.
func (n *Notifier) Watched() time.Duration { return n.watchdog }

// On reports whether a service manager listens.
func (n *Notifier) On() bool { return n.on }

// Ready says that the service serves, at the start and at the end of a reload.
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady, "STATUS="+oneLine(status))
}

// Reloading says that a reload begins. Type=notify-reload wants to know when, by the monotonic clock (sd_notify(3)).
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("systemd: clock: %w", err)
	}
	return n.send(daemon.SdNotifyReloading, "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Stopping says that the service ends.
func (n *Notifier) Stopping(status string) error {
	return n.send(daemon.SdNotifyStopping, "STATUS="+oneLine(status))
}

// Extend asks for so much more time to start or to stop, counted from now.
func (n *Notifier) Extend(d time.Duration, status string) error {
	return n.send("EXTEND_TIMEOUT_USEC="+strconv.FormatInt(d.Microseconds(), 10), "STATUS="+oneLine(status))
}

// Alive says that the service lives, for the watchdog.
func (n *Notifier) Alive(status string) error {
	if n.watchdog == 0 {
		return n.Status(status)
	}
	return n.send(daemon.SdNotifyWatchdog, "STATUS="+oneLine(status))
}

// Status is the line that systemctl status shows.
func (n *Notifier) Status(status string) error { return n.send("STATUS=" + oneLine(status)) }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// send passes one message on. The library dials and writes without a deadline, and a datagram waits while the manager's
// queue is full: so it is not waited for longer than sendTime, and nothing is said until the one that hangs is gone.
func (n *Notifier) send(lines ...string) error {
	if !n.on {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stuck != nil {
		select {
		case <-n.stuck:
			n.stuck = nil
		default:
			return errBusy
		}
	}
	sent := make(chan error, 1)
	go func() {
		_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
		sent <- err
	}()
	late := time.NewTimer(sendTime)
	defer late.Stop()
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("systemd: notify: %w", err)
		}
		return nil
	case <-late.C:
		n.stuck = sent
		return errBusy
	}
}
