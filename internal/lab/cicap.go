package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// ICAPOptions change an ICAP server.
type ICAPOptions struct {
	// Clamd is the path of the unix socket of the clamd that it asks. Empty: it has only the service echo.
	Clamd string
	// Settings are lines of c-icap.conf, behind ours.
	Settings string
}

// ICAP is a private c-icap with the services avscan (by clamd) and echo.
type ICAP struct {
	*Process
	Addr string // host:port
}

const cicapConf = `
PidFile %[1]s/pid
CommandsSocket %[1]s/c
Port 127.0.0.1:%[2]d
Timeout 30
KeepAliveTimeout 30
StartServers 1
MaxServers 1
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 8
ServerAdmin lab@example.org
ServerName lab
TmpDir %[1]s
ModulesDir %[3]s
ServicesDir %[3]s
TemplateDir /usr/share/c_icap/templates/
LoadMagicFile /etc/c-icap/c-icap.magic
ServerLog %[1]s/server.log
DebugLevel 1
Service echo srv_echo.so
`

const cicapScan = `
Module common clamd_mod.so
clamd_mod.ClamdSocket %s
Service antivirus_module virus_scan.so
ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.DefaultEngine clamd
virus_scan.SendPercentData 0
virus_scan.MaxObjectSize 64M
`

// StartICAP starts a c-icap with its state in dir and waits until it takes connections.
func StartICAP(ctx context.Context, dir string, o ICAPOptions) (*ICAP, error) {
	path, err := program("c-icap", "c-icap")
	if err != nil {
		return nil, err
	}
	// The user that clamd runs as, which opens the files that it is given.
	who, err := ownerNamed("clamav", "nobody")
	if err != nil {
		return nil, err
	}
	modules, err := filepath.Glob("/usr/lib/*/c_icap")
	if err != nil || len(modules) != 1 {
		return nil, fmt.Errorf("c-icap: no folder of modules; install Debian's packages c-icap and libc-icap-mod-virus-scan (scripts/install does)")
	}
	if err := who.makeDirs(dir); err != nil {
		return nil, err
	}
	port, err := ReservePort()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(cicapConf, dir, port.Number, modules[0])
	if o.Clamd != "" {
		text += fmt.Sprintf(cicapScan, o.Clamd)
	}
	conf := filepath.Join(dir, "c-icap.conf")
	if err := os.WriteFile(conf, []byte(text+o.Settings+"\n"), 0o644); err != nil {
		port.Release()
		return nil, fmt.Errorf("c-icap: %w", err)
	}
	c := &ICAP{Addr: port.Addr()}
	c.Process, err = start(command{name: "c-icap", path: path, args: []string{"-N", "-f", conf}, dir: dir, owner: who,
		log: filepath.Join(dir, "c-icap.out"), logs: []string{filepath.Join(dir, "server.log")}, ports: []*Port{port}})
	if err != nil {
		port.Release()
		return nil, err
	}
	return c, c.awaitReady(ctx, func() bool { return listens(c.Addr) })
}
