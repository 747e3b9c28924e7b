package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// Socket is where the helper of root is asked.
const Socket = "/run/gatepost-network.sock"

// What the helper can be asked for.
const (
	DoStatus  = "status"
	DoSet     = "set"
	DoConfirm = "confirm"
	DoName    = "name" // the host name alone
)

// Bounds of a question.
const (
	maxQuestion = 2*MaxFile + 1<<10
	answerTime  = 30 * time.Second
	heardTime   = time.Second // that an answer has to arrive before addresses change
	look        = time.Second // how often is looked whether a trial was confirmed
)

// NoAppliance is the error of Ask where there is no helper.
const NoAppliance = Missing("this machine is no appliance of Gatepost: its network is set up as its system has it")

// Missing is an error that never changes.
type Missing string

func (m Missing) Error() string { return string(m) }

// Question is what the helper is asked.
type Question struct {
	Do     string        `json:"do"`
	Text   string        `json:"text,omitempty"`   // of DoSet: settings in the form of Read; of DoName: the name
	Within time.Duration `json:"within,omitempty"` // of DoSet
}

// answer is what it says.
type answer struct {
	Error string `json:"error,omitempty"`
	Found *Found `json:"found,omitempty"`
}

// Helper answers one question on one connection, with the rights of root. Whoever can ask it can set up the network of this machine, and do
// no other thing.
type Helper struct {
	Machine *Machine
	Reload  func(before, now *Settings) error // has those who read settings read them again
	Log     func(format string, args ...any)  // a line of what is done, for the journal
}

// Serve answers what comes on a connection, closes it, and then has others read what is new: whoever asked shall hear it by the address that he
// came by. Where settings are on trial it stays until they are confirmed or their time is over, and puts back what was before. The error
// is for the journal.
func (h *Helper) Serve(ctx context.Context, conn net.Conn) error {
	before := h.before()
	f, err := h.answer(conn)
	if err != nil || f == nil {
		return err
	}
	pause(ctx, heardTime)
	err = h.Reload(&before, &f.Settings)
	if f.Until.IsZero() {
		return err
	}
	for err == nil && time.Until(f.Until) > 0 && ctx.Err() == nil {
		if t, err := h.Machine.onTrial(); err != nil || t == nil || !t.Until.Equal(f.Until) {
			return err
		}
		pause(ctx, min(look, time.Until(f.Until)))
	}
	if ctx.Err() != nil {
		return nil // the machine ends: the next start knows nothing of the trial
	}
	back, failed := h.Machine.Revert(f.Until)
	if back == nil {
		return errors.Join(err, failed)
	}
	h.Log("not confirmed in time: what was before is in force again")
	return errors.Join(err, failed, h.Reload(&f.Settings, &back.Settings))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// answer is what was changed; nil where nothing was.
func (h *Helper) answer(conn net.Conn) (*Found, error) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	var q Question
	err := json.NewDecoder(io.LimitReader(conn, maxQuestion)).Decode(&q)
	if err != nil {
		err = fmt.Errorf("the question: %w", err)
	}
	var f *Found
	if err == nil {
		h.Log("asked for %.20q", q.Do)
		f, err = h.do(&q)
	}
	a := answer{Found: f}
	if f != nil {
		f.Ports = ports()
	}
	if err != nil {
		a = answer{Error: err.Error()}
	}
	text, failed := json.Marshal(a)
	if failed == nil {
		_, failed = conn.Write(append(text, '\n'))
	}
	if err == nil && q.Do == DoStatus {
		return nil, failed
	}
	if f != nil && err == nil {
		return f, nil // who went away before the answer can still confirm, or it is taken back
	}
	return nil, errors.Join(err, failed)
}

func (h *Helper) do(q *Question) (f *Found, err error) {
	switch q.Do {
	case DoStatus:
		f, err = State(h.Machine.Run)
	case DoSet:
		f, err = h.Machine.Change([]byte(q.Text), q.Within)
	case DoConfirm:
		f, err = h.Machine.Confirm()
	case DoName:
		f, err = h.rename(q.Text)
	default:
		err = fmt.Errorf("%.20q is nothing that can be asked for", q.Do)
	}
	return f, err
}

// maxPorts bounds what is told of a machine.
const maxPorts = 64

// ports are the interfaces of this machine; none where the kernel does not tell.
func ports() (out []Port) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all[:min(len(all), maxPorts)] {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		p := Port{Name: i.Name, MAC: i.HardwareAddr.String(), Up: i.Flags&net.FlagRunning != 0}
		list, err := i.Addrs()
		for _, a := range list {
			if x, bad := netip.ParsePrefix(a.String()); bad == nil && err == nil {
				p.Addresses = append(p.Addresses, x)
			}
		}
		out = append(out, p)
	}
	return out
}

// before is what is in force.
func (h *Helper) before() Settings {
	f, err := State(h.Machine.Run)
	if err != nil {
		return Settings{}
	}
	return f.Settings
}

// rename changes the host name, and nothing else that an operator saved.
func (h *Helper) rename(name string) (*Found, error) {
	s, err := h.Machine.saved(operatorFile)
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = new(Settings)
	}
	var why string
	if s.Hostname, why = hostname(name); why != "" {
		return nil, &Fault{File: "settings", Key: "hostname", What: why, Instead: exampleHost}
	}
	text, err := s.Text()
	if err != nil {
		return nil, err
	}
	return h.Machine.Change(text, LeastTrial)
}

// Changed says who must read again: of these words interfaces, dns, ntp and hostname.
func Changed(before, now *Settings) (out []string) {
	if !sameInterfaces(before, now) {
		out = append(out, "interfaces")
	}
	if !slices.Equal(before.DNS, now.DNS) {
		out = append(out, "dns")
	}
	if !slices.Equal(before.NTP, now.NTP) {
		out = append(out, "ntp")
	}
	if before.Hostname != now.Hostname {
		out = append(out, "hostname")
	}
	return out
}

func sameInterfaces(a, b *Settings) bool {
	return slices.EqualFunc(a.Interfaces, b.Interfaces, func(x, y Interface) bool { return x.render() == y.render() })
}

// Ask asks the helper at a socket. The error is what the helper answered where it did not do it.
func Ask(ctx context.Context, socket string, q Question) (*Found, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if errors.Is(err, os.ErrNotExist) {
		return nil, NoAppliance
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return nil, err
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(conn, 8*MaxFile)).Decode(&a); err != nil {
		return nil, fmt.Errorf("the helper ended without an answer: %w", err)
	}
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	return a.Found, nil
}
