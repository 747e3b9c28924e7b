package dkim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gatepost/internal/lab/dnslab"
)

// insideEnv tells the test that it is the child, in a network of its own.
const insideEnv = "GATEPOST_TEST_OPENDKIM_INSIDE"

// openDKIMDiffers are the files of testdata that libopendkim sees otherwise, and why; docs/rfc.md has more words.
var openDKIMDiffers = map[string]string{
	"45-two-keys":               "takes the first text",
	"46-key-beside-other-texts": "takes the first text",
	"53-unknown-tags":           "empties every b=, also where it is part of another tag",
	"56-q-two":                  "takes the first word of q= only",
	"69-b-not-base64":           "skips what is no base64", // and random ones
	"73-h-many":                 "has no bound",
}

// TestAgainstOpenDKIM has opendkim-testmsg verify the same messages. It asks the name server in /etc/resolv.conf, port 53:
// so the test starts itself once more in a network and a mount namespace of its own, where that is the lab's. It says of a
// message whether a signature holds, not of each.
func TestAgainstOpenDKIM(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		inside(t)
		return
	}
	var all []letter
	for _, l := range letters(t) {
		if name := l.Name; len(name) < 2 || name < "16" || name > "21" { // those are about time, and its clock is today's
			all = append(all, l)
		}
	}
	all = all[:len(all)-150]
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, l := range all {
		zone := ""
		for name, text := range plain(l.keys) {
			zone += zoneLine(name, text)
		}
		for name, v := range l.keys {
			if _, ok := v.(error); ok {
				zone += "!" + name + "\n"
			}
		}
		if err := enc.Encode(map[string]any{"zone": zone, "data": l.Data}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAgainstOpenDKIM$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"="+filepath.Join(t.TempDir(), "resolv.conf"))
	cmd.Stdin = &in
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a network namespace: %v\n%s", err, text)
	}
	var answers []string
	for line := range strings.Lines(string(text)) {
		if said, ok := strings.CutPrefix(line, "said: "); ok {
			answers = append(answers, strings.TrimSpace(said))
		}
	}
	if len(answers) != len(all) {
		t.Fatalf("%d answers to %d messages\n%s", len(answers), len(all), text)
	}
	differ, same, whole := map[string]bool{}, 0, 0
	for i := range all {
		pass, why := false, ""
		for _, r := range ours(t, &all[i]) {
			pass = pass || r.Status == Pass
			why += r.Status.String() + " (" + r.Reason + ") "
		}
		switch {
		case pass == (answers[i] == "pass"):
			same++
		case pass && strings.Contains(answers[i], "dkim_chunk(): Syntax error"):
			whole++ // fields twice that may stand once, lines that are no field, U-labels
		case !pass && strings.Contains(why, "b=: base64: malformed"):
			differ["69-b-not-base64"] = true
		case openDKIMDiffers[all[i].Name] != "":
			differ[all[i].Name] = true
		default:
			t.Errorf("%s: %s, opendkim: %s\n%q", all[i].Name, why, answers[i], all[i].Data)
		}
	}
	for name := range openDKIMDiffers {
		if !differ[name] {
			t.Errorf("%s does not differ any more", name)
		}
	}
	if same < 150 || whole > same {
		t.Errorf("only %d messages were compared, %d were refused whole", same, whole)
	}
}

// zoneLine is a TXT record in strings that a zone file takes.
func zoneLine(name, text string) string {
	line := name + ". TXT"
	for len(text) > 0 {
		n := min(len(text), 200)
		line += fmt.Sprintf(" %q", text[:n])
		text = text[n:]
	}
	return line + "\n"
}

// inside serves DNS on port 53 of a network that nobody else has, and asks opendkim-testmsg.
func inside(t *testing.T) {
	conf := os.Getenv(insideEnv)
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal("mount: ", err)
	}
	if err := unix.Mount(conf, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal("mount: ", err)
	}
	up(t)
	server, err := dnslab.StartAt("127.0.0.1:53", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for dec := json.NewDecoder(os.Stdin); dec.More(); {
		var m struct {
			Zone string
			Data []byte
		}
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		zone := ""
		for line := range strings.Lines(m.Zone) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
				server.SetFault(name, dnslab.Fault{Kind: dnslab.ServFail, Times: 1})
			} else {
				zone += line
			}
		}
		if err := server.SetZones(dnslab.Text(zone)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "/usr/sbin/opendkim-testmsg", "-t", filepath.Dir(conf))
		cmd.Stdin = bytes.NewReader(m.Data)
		text, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		switch {
		case err == nil && len(text) == 0:
			fmt.Println("said: pass")
		case err == nil || errors.As(err, &exit):
			fmt.Printf("said: %.200q\n", text)
		default:
			t.Fatalf("%v; is opendkim-tools installed (scripts/test installs it)?", err)
		}
	}
}

// up raises the loopback of a new network.
func up(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal("loopback: ", err)
	}
}
