// Package screen looks for what the appliance shows at its console: gatepost appliance screen. The leaf appliance/screen draws it.
package screen

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"gatepost/appliance/screen"
	"gatepost/appliance/settings"
	"gatepost/cmd/gatepost/user"
	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// Times: how often is looked, how long one look may take, and how old what is known of the certificate may be.
const (
	every    = 3 * time.Second
	lookTime = 10 * time.Second
	shownAge = time.Minute
)

// TroubleFile holds what is wrong with the settings of the network, a line each, as gatepost appliance network leaves it there.
const TroubleFile = "/run/gatepost-network/trouble"

// maxTrouble bounds what is read of it.
const maxTrouble = 4096

// Commands are those of gatepost appliance screen.
func Commands(version string) []cli.Command {
	return []cli.Command{{Words: "appliance screen", Args: "[TERMINAL...] [--config PATH]", Doc: "show addresses, certificate and the first owner's code at terminals such as /dev/tty1, again when they change; without any: print them once",
		Run: func(ctx context.Context, e cli.Env, args []string) int { return run(ctx, e, version, args) }}}
}

func run(ctx context.Context, e cli.Env, version string, args []string) int {
	f := cli.NewFlags(e, "appliance screen")
	terminals, ok := f.Read(e, args, 8)
	if !ok {
		return cli.Usage
	}
	quiet := e
	quiet.Err = io.Discard // what is wrong with a document is on no screen
	w := &watch{e: quiet, flags: f, settings: settings.Here(), state: screen.State{Version: version}}
	if len(terminals) == 0 {
		s := w.look(ctx)
		_, text, _ := strings.Cut(s.Draw(), "\x1b[2J")
		fmt.Fprint(e.Out, strings.ReplaceAll(text, "\r\n", "\n"))
		return cli.Done
	}
	screen.Show(ctx, terminals, every, w.look)
	return cli.Done
}

// watch knows what was seen last.
type watch struct {
	e        cli.Env
	flags    *cli.Flags
	state    screen.State
	settings *settings.Machine
	process  time.Time // when the daemon that was asked made its socket
	examined time.Time // when the certificate was looked at
}

// look finds out how things are.
func (w *watch) look(ctx context.Context) screen.State {
	ctx, done := context.WithTimeout(ctx, lookTime)
	defer done()
	s := &w.state
	s.Addresses, s.Trouble = addresses(), append(trial(w.settings), troubles(TroubleFile)...)
	b, _ := config.LoadBootstrap(w.flags.Config)
	if b == nil {
		s.Running, s.Trouble = false, append(s.Trouble, "gatepost.toml cannot be used; gatepost check tells why")
		return *s
	}
	s.Host, s.Port = b.Hostname, 0
	if s.Host == "" {
		s.Host, _ = os.Hostname() // as the daemon has it
	}
	if at := b.Web.Console; at.Port() != 0 && !at.Addr().IsLoopback() {
		s.Port = at.Port()
	}
	s.SSH = 0
	for _, at := range b.Web.SSH {
		if !at.Addr().IsLoopback() {
			s.SSH = at.Port()
		}
	}
	w.owner(ctx, b.Control.Socket)
	if s.Running && s.SSH != 0 && s.SSHKey == "" {
		s.SSHKey, _ = user.HostKey(ctx, w.e, w.flags) // where it is not told, it is asked again
	}
	if s.Running && (s.Fingerprint == "" || time.Since(w.examined) > shownAge) { // the console comes later than what it is asked by
		w.examined, s.Fingerprint = time.Now(), fingerprint(ctx, b.Web.Console)
	}
	return *s
}

// owner asks the daemon for the code of the first owner, once for each process: another one voids what was shown before. While a code
// is shown it asks whether there is a user by now.
func (w *watch) owner(ctx context.Context, socket string) {
	s := &w.state
	info, err := os.Stat(socket)
	if err != nil {
		w.forget()
		return
	}
	switch made := info.ModTime(); {
	case !made.Equal(w.process) || !s.Running:
		code, err := user.SetupCode(ctx, w.e, w.flags)
		if err != nil {
			w.forget()
			return
		}
		w.process, s.Running, s.Code, s.Owned, w.examined = made, true, code, code == "", time.Time{}
	case s.Code != "":
		if any, err := user.Any(ctx, w.e, w.flags); err == nil && any {
			s.Code, s.Owned = "", true
		}
	}
}

func (w *watch) forget() {
	w.process, w.state.Running, w.state.Code, w.state.Owned, w.state.Fingerprint, w.state.SSHKey = time.Time{}, false, "", false, "", ""
}

// fingerprint is that of the certificate that the console shows; "" where it does not answer.
func fingerprint(ctx context.Context, at netip.AddrPort) string {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // it is looked at, and nothing is told it
	c, err := d.DialContext(ctx, "tcp", cli.FromHere(at).String())
	if err != nil {
		return ""
	}
	defer c.Close()
	shown := c.(*tls.Conn).ConnectionState().PeerCertificates
	if len(shown) == 0 {
		return ""
	}
	sum := sha256.Sum256(shown[0].Raw)
	return hex.EncodeToString(sum[:])
}

// trial tells of settings that are tried, or were within the last day. On a machine that is no appliance there are none.
func trial(m *settings.Machine) []string {
	s, err := m.State(time.Now())
	switch {
	case err != nil:
	case s.OnTrial:
		return []string{"Settings are on trial: confirm them in the console, or they are taken back."}
	case !s.Over.IsZero():
		return []string{"Settings of " + s.Over.UTC().Format("15:04 MST") + " were not confirmed: those before are in force."}
	}
	return nil
}

// addresses are those of this machine that others may reach.
func addresses() (out []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// troubles are the lines of a file; none where it is not there.
func troubles(name string) (out []string) {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxTrouble))
	for line := range strings.Lines(string(text)) {
		out = append(out, strings.TrimSpace(line))
	}
	return out
}
