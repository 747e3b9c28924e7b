package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Where the first slot is in the image (appliance/image/disk.sh), in octets.
const (
	slotStart = 257 << 20
	slotSize  = 512 << 20
)

// patience is how long one step of the test may take. Machines without KVM, beside other work, are slow.
const patience = 20 * time.Minute

// boot boots a copy of the image on a bigger disk and looks at it from outside: banner, console, what strangers get, ports that
// must be silent, a root that nobody wrote to, an end without a complaint, a second boot; and a root with one changed octet, which must be
// refused.
func boot(image string) error {
	dir, err := os.MkdirTemp("", "gatepost-image.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	disk := filepath.Join(dir, "disk.raw")
	if err := copyDisk(image, disk); err != nil {
		return err
	}
	before, err := slotSum(disk)
	if err != nil {
		return err
	}
	if err := bootWhole(dir, disk); err != nil {
		return err
	}
	after, err := slotSum(disk)
	if err != nil {
		return err
	}
	if before != after {
		return errors.New("the root's partition was written to")
	}
	fmt.Println("boot: no octet of the root's partition has changed")
	return bootBroken(dir, disk)
}

func slotSum(disk string) ([32]byte, error) {
	f, err := os.Open(disk)
	if err != nil {
		return [32]byte{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, slotStart, slotSize)); err != nil {
		return [32]byte{}, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// told are settings of the network, as a hypervisor may tell them, and toldAddress and toldName what the screen has of them.
const (
	told = `hostname: mx.example.org
ntp: [ntp.example.org]
interfaces:
  - addresses: [10.0.2.44/24]
    routes: [{to: default, via: 10.0.2.2}]
`
	toldAddress = "10.0.2.44"
	toldName    = "mx.example.org"
)

// bootWhole boots twice: the first boot, with DHCP; and one after a proper end, with what the hypervisor tells of the network.
func bootWhole(dir, disk string) error {
	silent := silentPorts()
	ports := []int{25, 8443}
	for p := range silent {
		ports = append(ports, p)
	}
	about := filepath.Join(dir, "network.yaml")
	if err := os.WriteFile(about, []byte(told), 0o600); err != nil {
		return err
	}
	for round := 1; round <= 2; round++ {
		is, screen := hardware{dir: dir, disk: disk, ports: ports}, []string{"   gatepost"}
		if round == 2 {
			is.at, is.about, screen = toldAddress, about, []string{"   " + toldName, "https://" + toldAddress + ":8443/"}
		}
		v, err := start(is)
		if err != nil {
			return err
		}
		v.name = fmt.Sprintf("boot %d", round)
		err = v.look(silent, screen)
		v.kill()
		log, _ := v.said() // qemu has ended, as it was told
		if err != nil {
			return fmt.Errorf("boot %d: %w\n%s", round, err, tail(log))
		}
		if first := strings.Contains(log, "first boot: seeding"); first != (round == 1) {
			return fmt.Errorf("boot %d: seeding the data partition: %v", round, first)
		}
		// That the device of the verified root stays to the last ("Failed to finalize DM devices") is as it must be: it is read-only, and
		// the system still runs from it.
		if strings.Contains(log, "Failed unmounting") {
			return fmt.Errorf("boot %d: something stayed busy at the end\n%s", round, tail(log))
		}
	}
	return nil
}

// look is what is seen of one boot, until the machine has switched itself off.
func (v *vm) look(silent map[int]string, screen []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := v.awaitLine(ctx, "gatepost-init: slot a verified"); err != nil {
		return err
	}
	v.took("root verified")
	if err := v.await(ctx, "the banner", v.banner); err != nil {
		return err
	}
	v.took("SMTP banner")
	if err := v.await(ctx, "the console", v.console); err != nil {
		return err
	}
	v.took("page of the first run over HTTPS")
	for _, text := range screen {
		if err := v.awaitLine(ctx, text); err != nil {
			return err
		}
	}
	if err := v.silent(silent); err != nil {
		return err
	}
	if err := v.memory(ctx); err != nil {
		return err
	}
	if err := v.ask("system_powerdown", nil, nil); err != nil {
		return err
	}
	select {
	case <-v.ended:
		v.took("switched off")
		return nil
	case <-ctx.Done():
		return errors.New("it does not switch itself off")
	}
}

// took prints how long it took since the machine was switched on.
func (v *vm) took(what string) {
	fmt.Printf("%s: %s after %.0f s\n", v.name, what, time.Since(v.began).Seconds())
}

// banner is nil when SMTP answers as it must before anything is set up: nothing is taken, and it is said why.
func (v *vm) banner() error {
	said, err := v.dialogue()
	if strings.HasPrefix(said, "421 4.3.2 ") {
		return nil
	}
	return fmt.Errorf("port 25 says %q, %w", said, err)
}

// dialogue sends each line after the answer to the one before, and returns the last line of the last answer.
func (v *vm) dialogue(lines ...string) (string, error) {
	c, err := net.DialTimeout("tcp", v.ports[25].Addr(), 10*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	answer := func() (string, error) {
		for {
			line, err := r.ReadString('\n')
			if err != nil || len(line) < 4 || line[3] == ' ' {
				return strings.TrimSpace(line), err
			}
		}
	}
	last, err := answer()
	if err == nil && !strings.HasPrefix(last, "220 ") {
		err = fmt.Errorf("the banner is %q", last)
	}
	for _, line := range lines {
		if err != nil {
			return last, err
		}
		if _, err = io.WriteString(c, line+"\r\n"); err == nil {
			last, err = answer()
		}
	}
	return last, err
}

// console is nil when the page on which the first owner comes in is there.
func (v *vm) console() error {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		// The certificate is the appliance's own, made a moment ago.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get("https://" + v.ports[8443].Addr() + "/setup")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	page, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !strings.Contains(string(page), "Gatepost") {
		return fmt.Errorf("/setup answers %s", res.Status)
	}
	return nil
}

// silentPorts are ports that nobody outside may get an answer from, with what would make their service say something.
func silentPorts() map[int]string {
	return map[int]string{
		22:   "SSH-2.0-probe\r\n",
		53:   "\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01",
		783:  "PING SPAMC/1.2\r\n\r\n",
		3310: "zPING\x00",
		6379: "PING\r\n",
		9625: "GET /healthz HTTP/1.0\r\n\r\n",
	}
}

// silent probes all ports at once: each takes the whole time in which an answer could come.
func (v *vm) silent(ports map[int]string) error {
	answers := make(chan error, len(ports))
	for port, greeting := range ports {
		go func() {
			var err error
			if got := v.probe(port, greeting); got != "" {
				err = fmt.Errorf("port %d answers strangers: %q", port, got)
			}
			answers <- err
		}()
	}
	var all error
	for range ports {
		all = errors.Join(all, <-answers)
	}
	return all
}

// probe returns what a port answers within some seconds, "" for nothing.
func (v *vm) probe(port int, greeting string) string {
	c, err := net.DialTimeout("tcp", v.ports[port].Addr(), 5*time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return ""
	}
	if _, err := io.WriteString(c, greeting); err != nil {
		return ""
	}
	answer := make([]byte, 200)
	n, _ := io.ReadFull(c, answer[:1])
	return string(answer[:n])
}

// settled is how long the memory in use must not have fallen before it is at rest: while services start they take more.
const settled = 20 * time.Second

// memory prints what the guest says of its memory, once it is at rest, and the most that was in use until then.
func (v *vm) memory(ctx context.Context) error {
	const balloon = "/machine/peripheral/balloon"
	if err := v.ask("qom-set", map[string]any{"path": balloon, "property": "guest-stats-polling-interval", "value": 1}, nil); err != nil {
		return err
	}
	var total, most, least int64
	var since time.Time
	err := v.await(ctx, "the memory's figures", func() error {
		var stats struct{ Stats map[string]int64 }
		if err := v.ask("qom-get", map[string]any{"path": balloon, "property": "guest-stats"}, &stats); err != nil {
			return err
		}
		if total = stats.Stats["stat-total-memory"] >> 20; total <= 0 {
			return errors.New("there are none")
		}
		used := total - stats.Stats["stat-available-memory"]>>20
		if most = max(most, used); least == 0 || used < least {
			least, since = used, time.Now()
		}
		if time.Since(since) < settled {
			return fmt.Errorf("it falls: %d MiB", used)
		}
		return nil
	})
	if err == nil {
		fmt.Printf("%s: memory in use %d MiB of %d at rest, %d before\n", v.name, least, total, most)
	}
	return err
}

// bootBroken changes one octet in the middle of the root and boots: nothing of it may run.
func bootBroken(dir, disk string) error {
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	one := make([]byte, 1)
	const where = slotStart + 40<<20
	if _, err := f.ReadAt(one, where); err != nil {
		return err
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, where); err != nil {
		return err
	}
	v, err := start(hardware{dir: dir, disk: disk, ports: []int{25}})
	if err != nil {
		return err
	}
	defer v.kill()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = v.awaitLine(ctx, "there is no other version on this disk")
	log, _ := v.said()
	if err != nil {
		return fmt.Errorf("a changed octet: %w\n%s", err, tail(log))
	}
	if !strings.Contains(log, "REFUSED") || strings.Contains(log, "verified") || v.banner() == nil {
		return fmt.Errorf("a root with a changed octet was started\n%s", tail(log))
	}
	fmt.Printf("boot: a root with one changed octet was refused after %.0f s\n", time.Since(v.began).Seconds())
	return nil
}

// tail is the end of what a machine said.
func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
