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
	cmd   *exec.Cmd
	qmp   net.Conn
	reply *json.Decoder
	ports map[int]*lab.Port // of the guest -> of this machine
	began time.Time
	ended chan struct{} // closed when qemu has ended

	mu    sync.Mutex
	text  bytes.Buffer // without colours
	fatal error
}

// broken are pieces of lines after which nothing good can follow.
func broken() []string {
	return []string{"Kernel panic", "Unknown symbol", "[FAILED]", "Failed to mount", "Dependency failed"}
}

// start boots disk, which it may write, in dir. ports are those of the guest that shall be reachable.
func start(dir, disk string, ports []int) (_ *vm, err error) {
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
	for _, p := range ports {
		here, err := lab.ReservePort()
		if err != nil {
			return nil, err
		}
		v.ports[p] = here
		network += fmt.Sprintf(",hostfwd=tcp:%s-:%d", here.Addr(), p)
	}
	socket := filepath.Join(dir, "qmp.sock")
	os.Remove(socket)
	// KVM is not asked for: on some machines its device is there and guests hang on it (docs/appliance.md).
	v.cmd = exec.Command("qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd", "-drive", "if=pflash,format=raw,unit=1,file="+vars,
		"-drive", "if=none,id=disk,format=raw,cache=unsafe,file="+disk, "-device", "virtio-blk-pci,drive=disk",
		"-netdev", network, "-device", "virtio-net-pci,netdev=net", "-device", "virtio-balloon-pci,id=balloon", "-device", "i6300esb",
		"-serial", "stdio", "-qmp", "unix:"+socket+",server=on,wait=off")
	said, err := v.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var complaints bytes.Buffer
	v.cmd.Stderr = &complaints
	if err := v.cmd.Start(); err != nil {
		return nil, fmt.Errorf("qemu: %w", err)
	}
	go v.read(said, &complaints)
	return v, nil
}

// release gives the ports back.
func (v *vm) release() {
	for _, p := range v.ports {
		p.Release()
	}
}

// read collects what the machine says until it ends.
func (v *vm) read(said io.Reader, complaints *bytes.Buffer) {
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadString('\n')
		line = plain(line)
		v.mu.Lock()
		v.text.WriteString(line)
		for _, b := range broken() {
			if v.fatal == nil && strings.Contains(line, b) {
				v.fatal = fmt.Errorf("the machine says: %s", strings.TrimSpace(line))
			}
		}
		v.mu.Unlock()
		if err != nil {
			break
		}
	}
	err := v.cmd.Wait()
	v.mu.Lock()
	if v.fatal == nil {
		v.fatal = fmt.Errorf("qemu has ended (%v) %s", err, complaints.String())
	}
	v.mu.Unlock()
	close(v.ended)
}

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
		if all, _ := v.said(); !strings.Contains(all, text) {
			return errors.New("it was not said")
		}
		return nil
	})
}

// ask sends a command by qemu's own protocol (QMP) and reads its answer into result, which may be nil.
func (v *vm) ask(command string, arguments, result any) error {
	if v.qmp == nil {
		c, err := net.Dial("unix", filepath.Join(v.dir, "qmp.sock"))
		if err != nil {
			return fmt.Errorf("qmp: %w", err)
		}
		v.qmp, v.reply = c, json.NewDecoder(c)
		var greeting json.RawMessage
		if err := v.reply.Decode(&greeting); err != nil {
			return fmt.Errorf("qmp: %w", err)
		}
		if err := v.ask("qmp_capabilities", nil, nil); err != nil {
			return err
		}
	}
	question := map[string]any{"execute": command}
	if arguments != nil {
		question["arguments"] = arguments
	}
	if err := json.NewEncoder(v.qmp).Encode(question); err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := v.reply.Decode(&answer); err != nil {
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
	if v.qmp != nil {
		v.qmp.Close()
	}
	err := v.cmd.Process.Kill()
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		<-v.ended
	}
	v.release()
}
