package lab

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// EICAR is the harmless file that virus scanners agree to find. It is put
// together here so that no scanner finds it in these sources.
func EICAR() string {
	return `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + "EICAR" + "-STANDARD-" + "ANTIVIRUS" + "-TEST-FILE!$H+H*"
}

// ClamdOptions change a clamd from what the product ships; the zero value is it.
type ClamdOptions struct {
	// Signatures are further lines of the database in clamd's .ndb format
	// (NAME:TARGET:OFFSET:HEX). EICAR is always in it.
	Signatures []string
	// AtBeginning has EICAR found at the beginning of a file only, as by ClamAV's own database: what finds it in a container has opened that.
	AtBeginning bool
	// Settings are lines of clamd.conf. They take the place of shipped ones of
	// the same name.
	Settings []string
	// Port is as in PostfixOptions.
	Port *Port
}

// Clamd is a private clamd with a small database of its own.
type Clamd struct {
	*Process
	Addr   string // host:port
	Socket string // path of its unix socket
}

// clamdSettings are those that the product ships, and what a lab needs.
func clamdSettings(dir string, port int) []string {
	return []string{
		"Foreground yes",
		"DatabaseDirectory " + filepath.Join(dir, "db"),
		"LocalSocket " + filepath.Join(dir, "s"),
		"LocalSocketMode 666",
		fmt.Sprintf("TCPSocket %d", port),
		"TCPAddr 127.0.0.1",
		"LogFile " + filepath.Join(dir, "clamd.log"),
		"LogTime yes",
		"TemporaryDirectory " + filepath.Join(dir, "tmp"),
		"StreamMaxLength 64M",
		"MaxFileSize 64M",
		"MaxScanSize 400M",
		"MaxScanTime 25000",
		"AlertExceedsMax yes",
		"MaxThreads 4",
		"SelfCheck 86400",
		// Only the private database is asked for, never the network.
		"OfficialDatabaseOnly no",
	}
}

// StartClamd starts a clamd with its state in dir and waits until it answers
// PING. It knows EICAR, at any place of a file and inside archives, and names it
// Eicar-Test-Signature.UNOFFICIAL. The path of dir may have at most 105 bytes.
func StartClamd(ctx context.Context, dir string, o ClamdOptions) (*Clamd, error) {
	path, err := program("clamd", "clamav-daemon")
	if err != nil {
		return nil, err
	}
	// The database and the socket belong to the user that it runs as.
	who, err := ownerNamed("clamav", "nobody")
	if err != nil {
		return nil, err
	}
	if len(dir)+2 > maxSocketPath {
		return nil, fmt.Errorf("clamd: folder %s: too long for a unix socket", dir)
	}
	if err := who.makeDirs(dir, filepath.Join(dir, "db"), filepath.Join(dir, "tmp")); err != nil {
		return nil, err
	}
	port, own, err := portOr(o.Port)
	if err != nil {
		return nil, err
	}
	c := &Clamd{Addr: port.Addr(), Socket: filepath.Join(dir, "s")}
	settings := merge(clamdSettings(dir, port.Number), o.Settings)
	conf := filepath.Join(dir, "clamd.conf")
	if err := c.write(dir, conf, settings, o); err != nil {
		release(own)
		return nil, err
	}
	c.Process, err = start(command{
		name: "clamd", path: path, args: []string{"-c", conf}, dir: dir, owner: who,
		log: filepath.Join(dir, "clamd.out"), ports: own,
	})
	if err != nil {
		release(own)
		return nil, err
	}
	return c, c.awaitReady(ctx, func() bool { return c.pings("unix", c.Socket) && c.pings("tcp", c.Addr) })
}

// write writes the configuration and the database.
func (c *Clamd) write(dir, conf string, settings []string, o ClamdOptions) error {
	if err := os.WriteFile(conf, []byte(strings.Join(settings, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("clamd: %w", err)
	}
	place := "*"
	if o.AtBeginning {
		place = "0"
	}
	lines := append([]string{"Eicar-Test-Signature:0:" + place + ":" + hex.EncodeToString([]byte(EICAR()))}, o.Signatures...)
	if err := os.WriteFile(filepath.Join(dir, "db", "lab.ndb"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("clamd: %w", err)
	}
	return nil
}

// pings asks PING once.
func (c *Clamd) pings(network, addr string) bool {
	conn, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return false
	}
	answer := make([]byte, 5)
	if _, err := conn.Write([]byte("zPING\x00")); err != nil {
		return false
	}
	n, _ := conn.Read(answer)
	return string(answer[:n]) == "PONG\x00"
}

// merge appends settings (NAME VALUE lines) and drops those of base with the
// same name.
func merge(base, settings []string) []string {
	var out []string
	replaced := make(map[string]bool)
	for _, s := range settings {
		name, _, _ := strings.Cut(s, " ")
		replaced[name] = true
	}
	for _, s := range base {
		if name, _, _ := strings.Cut(s, " "); !replaced[name] {
			out = append(out, s)
		}
	}
	return append(out, settings...)
}
