package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/internal/lab"
)

// vm is a machine in qemu with the image as its disk. What it says on its serial line is collected; a line that tells of something
// broken ends it.
type vm struct {
	dir   string
	args  []string          // of qemu
	ports map[int]*lab.Port // of the guest -> of this machine
	began time.Time
	name  string        // for what is printed
	ended chan struct{} // closed when qemu has ended

	mu    sync.Mutex
	cmd   *exec.Cmd
	off   bool         // it does not start again
	text  bytes.Buffer // without colours
	boot  int          // where in it the last boot begins
	from  int          // where in it is looked from; see forget
	fatal error
}

// broken are pieces of lines after which nothing good can follow.
func broken() []string {
	return []string{"Kernel panic", "Unknown symbol", "[FAILED]", "Failed to mount", "Dependency failed"}
}

// hardware is what a machine is made of.
type hardware struct {
	dir   string // its own, for sockets and what the firmware keeps
	disk  string // raw; it is written to
	ports []int  // of the guest, that shall be reachable
	at    string // the guest's address; "": the one that it has by DHCP
	about string // file with settings of its network, as a credential of systemd; "": none
	sink  string // host:port of this machine, which the guest reaches as sinkHost, port 25; "": nothing is reached
	logs  string // the same, for the syslog server at port 601
	frail bool   // units may fail, and what needs them
	log   string // file that what is said is added to; "": none
}

// sinkHost is where the guest reaches the host's sink, at port 25, and its syslog server, at 601. It is the one place outside that there is for it.
const sinkHost = "10.0.2.100"

// start boots a machine.
func start(h hardware) (_ *vm, err error) {
	dir := h.dir
	vars := filepath.Join(dir, "vars.fd")
	if _, err := os.Stat(vars); err != nil {
		empty, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
		if err != nil {
			return nil, fmt.Errorf("firmware: %w", err)
		}
		if err := os.WriteFile(vars, empty, 0o600); err != nil {
			return nil, err
		}
	}
	v := &vm{dir: dir, ports: map[int]*lab.Port{}, ended: make(chan struct{}), began: time.Now()}
	defer func() {
		if err != nil {
			v.release()
		}
	}()
	network := "user,id=net,restrict=on"
	for _, p := range h.ports {
		here, err := lab.ReservePort()
		if err != nil {
			return nil, err
		}
		v.ports[p] = here
		network += fmt.Sprintf(",hostfwd=tcp:%s-%s:%d", here.Addr(), h.at, p)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for port, to := range map[int]string{25: h.sink, 601: h.logs} {
		if to != "" { // a process for each connection: what qemu connects by itself is one connection for all time
			network += fmt.Sprintf(",guestfwd=tcp:%s:%d-cmd:%s relay %s", sinkHost, port, self, to)
		}
	}
	// KVM is not asked for: on some machines its device is there and guests hang on it (docs/appliance.md).
	v.args = []string{"-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none", "-action", "reboot=shutdown",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd", "-drive", "if=pflash,format=raw,unit=1,file=" + vars,
		"-drive", "if=none,id=disk,format=raw,cache=unsafe,file=" + h.disk, "-device", "virtio-blk-pci,drive=disk",
		"-netdev", network, "-device", "virtio-net-pci,netdev=net", "-device", "virtio-balloon-pci,id=balloon", "-device", "i6300esb",
		"-serial", "stdio", "-qmp", "unix:" + v.socket() + ",server=on,wait=off"}
	if h.about != "" {
		v.args = append(v.args, "-fw_cfg", "name=opt/io.systemd.credentials/gatepost.network,file="+h.about)
	}
	var kept io.WriteCloser = discard{}
	if h.log != "" {
		if kept, err = os.OpenFile(h.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return nil, err
		}
	}
	said, complaints, err := v.launch()
	if err != nil {
		return nil, err
	}
	go v.run(said, kept, complaints, h.frail)
	return v, nil
}

func (v *vm) socket() string { return filepath.Join(v.dir, "qmp.sock") }

// launch starts qemu, for one boot.
func (v *vm) launch() (said io.Reader, complaints *bytes.Buffer, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.off {
		return nil, nil, errors.New("its power was taken")
	}
	os.Remove(v.socket())
	cmd := exec.Command("qemu-system-x86_64", v.args...)
	if said, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	complaints = new(bytes.Buffer)
	cmd.Stderr = complaints
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("qemu: %w", err)
	}
	v.cmd, v.boot = cmd, v.text.Len()
	return said, complaints, nil
}

// release gives the ports back.
func (v *vm) release() {
	for _, p := range v.ports {
		p.Release()
	}
}

// run runs the machine until it is switched off. Where the guest restarts, another qemu goes on: what one has translated of the memory of
// the boot before makes each write there slow, and one in ten restarts took longer than firmware waits (qemu 7.2).
func (v *vm) run(said io.Reader, kept io.WriteCloser, complaints *bytes.Buffer, frail bool) {
	defer kept.Close()
	for {
		v.read(said, kept, frail)
		err := v.cmd.Wait() // nobody else sets it
		if err == nil && !v.poweredDown() {
			if said, complaints, err = v.launch(); err == nil {
				continue
			}
			complaints = new(bytes.Buffer)
		}
		v.mu.Lock()
		if v.fatal == nil {
			v.fatal = fmt.Errorf("qemu has ended (%v) %s", err, complaints)
		}
		v.mu.Unlock()
		close(v.ended)
		return
	}
}

// poweredDown reports whether the guest has switched itself off in this boot.
func (v *vm) poweredDown() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Contains(v.text.String()[v.boot:], "reboot: Power down")
}

// read collects what the machine says until this boot ends.
func (v *vm) read(said io.Reader, kept io.Writer, frail bool) {
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadString('\n')
		line = plain(line)
		v.mu.Lock()
		v.text.WriteString(line)
		_, _ = io.WriteString(kept, line) // for who looks at a failure; it decides nothing
		for _, b := range broken() {
			if v.fatal == nil && strings.Contains(line, b) && (!frail || b != "[FAILED]" && b != "Dependency failed") {
				v.fatal = fmt.Errorf("the machine says: %s", strings.TrimSpace(line))
			}
		}
		v.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// discard keeps nothing.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// plain takes the colours out of a line.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '[' {
			for i += 2; i < len(s) && (s[i] < '@' || s[i] > '~'); i++ {
			}
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// said is all that came on the serial line, and what was wrong with it.
func (v *vm) said() (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text.String(), v.fatal
}

// forget has awaitLine look for what is said from now on only: of the next boot, in place of the last.
func (v *vm) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.from = v.text.Len()
}

// lately is what was said since forget.
func (v *vm) lately() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text.String()[v.from:]
}

// await asks again until nothing is missing; something broken, or the end of the time, is an error that names what was waited for and
// what was missing last.
func (v *vm) await(ctx context.Context, what string, missing func() error) error {
	for {
		last := missing()
		if last == nil {
			return nil
		}
		if _, err := v.said(); err != nil {
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, err, last)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, ctx.Err(), last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// awaitLine waits for a piece of text on the serial line.
func (v *vm) awaitLine(ctx context.Context, text string) error {
	return v.await(ctx, strconv.Quote(text), func() error {
		if !strings.Contains(v.lately(), text) {
			return errors.New("it was not said")
		}
		return nil
	})
}

// ask sends a command by qemu's own protocol (QMP) and reads its answer into result, which may be nil.
func (v *vm) ask(command string, arguments, result any) error {
	c, err := net.Dial("unix", v.socket())
	if err != nil {
		return fmt.Errorf("qmp: %w", err)
	}
	defer c.Close()
	reply := json.NewDecoder(c)
	var greeting json.RawMessage
	if err := reply.Decode(&greeting); err != nil {
		return fmt.Errorf("qmp: %w", err)
	}
	if err := exchange(c, reply, "qmp_capabilities", nil, nil); err != nil {
		return err
	}
	return exchange(c, reply, command, arguments, result)
}

// exchange is one command and its answer.
func exchange(c net.Conn, reply *json.Decoder, command string, arguments, result any) error {
	question := map[string]any{"execute": command}
	if arguments != nil {
		question["arguments"] = arguments
	}
	if err := json.NewEncoder(c).Encode(question); err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := reply.Decode(&answer); err != nil {
			return fmt.Errorf("qmp %s: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("qmp %s: %s", command, answer.Error.Desc)
		case answer.Return == nil: // an event
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Return, result)
		}
	}
}

// kill takes the machine's power, and waits until it is gone.
func (v *vm) kill() {
	v.mu.Lock()
	v.off = true
	cmd := v.cmd
	v.mu.Unlock()
	if err := cmd.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		<-v.ended
	}
	v.release()
}
