package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

// nothing is what ends a fault that nothing ends but time, or that is none for the mail.
func nothing(*testing.T) {}

const (
	senderKeeps = "the sender keeps it"
	delivered1  = "delivered once"
	byItself    = "by itself"
)

// faultMatrix is all rows.
func faultMatrix() []fault {
	return []fault{
		{name: "clamd dead, refuses, resets, closes", sender: "`451 4.7.1`", kept: senderKeeps, back: "by itself, in at most 30 s (probe)", says: "alarm `clamav`; FAIL in `gatepost status`", shown: "TestClamdFaults TestRealFaults TestScannersComeBack"},
		{name: "clamd hung or stopped (SIGSTOP)", sender: "`451 4.7.1`, after `clamav.timeout`", kept: senderKeeps, back: byItself, says: "alarm `clamav`", run: scannerRow("clamav", lab.Silence())},
		{name: "clamd talks garbage", sender: "`451 4.7.1`", kept: senderKeeps, back: byItself, says: "alarm `clamav`", run: scannerRow("clamav", lab.Action{Bytes: []byte("\xff\xfe\x00garbage\n"), Then: lab.Close})},
		{name: "clamd slow, within `clamav.timeout`", sender: "250, late", kept: delivered1, back: byItself, says: "`check_seconds`", shown: "TestScannersSlow"},
		{name: "spamd dead, refuses, closes", sender: "250", kept: "delivered, marked `X-Gatepost-Unscanned: spamassassin`", back: byItself, says: "alarm `spamassassin`", shown: "TestSpamdFaults TestRealFaults TestScannersComeBack"},
		{name: "spamd hung or stopped (SIGSTOP)", sender: "250, after `spamassassin.timeout`", kept: "delivered, marked", back: byItself, says: "alarm `spamassassin`", run: scannerRow("spamassassin", lab.Silence())},
		{name: "spamd talks garbage", sender: "250", kept: "delivered, marked", back: byItself, says: "alarm `spamassassin`", run: scannerRow("spamassassin", lab.Action{Bytes: []byte("HTTP/1.1 400 Bad\r\n\r\n"), Then: lab.Close})},
		{name: "one of two clamd dead or refuses", sender: "250", kept: "delivered once, scanned by the other", back: byItself, says: "FAIL for its address in `gatepost status`", shown: "TestClamds"},
		{name: "ICAP, a milter: dead, resets, closes, hung, stops in its answer, trickles, garbage, endless, too big an answer", sender: "`451 4.7.1`, at the latest after its `timeout`", kept: senderKeeps, back: byItself, says: "alarm `icap`, `milter NAME`; the trace: with what it failed", shown: "TestEngineFaults"},
		{name: "rspamd, a hook: the same", sender: "250, at the latest after its `timeout`", kept: "delivered, marked", back: byItself, says: "alarm `rspamd`, `hook NAME`; the trace", shown: "TestEngineFaults"},
		{name: "an engine with `optional = true` dead", sender: "250", kept: "delivered, marked, by what the others found", back: byItself, says: "alarm with its name; reason `scanner.partly`", shown: "TestClamds"},
		{name: "next hop stopped or restarted", sender: "`451 4.4.1`", kept: senderKeeps, back: "by itself, in at most 30 s", says: "alarm `next hops`", shown: "TestRealFaults"},
		{name: "next hop hung, closes, lies, trickles at any step", sender: "`451 4.4.x`", kept: "the sender keeps it; after the dot a second copy is possible", back: byItself, says: "`relays_total`; `said` in the trace", shown: "TestNextHopFaults TestRealFaults"},
		{name: "resolver dead", sender: "`451 4.4.3` at RCPT", kept: senderKeeps, back: byItself, says: "`dns_failures_total`; FAIL in `gatepost status`", run: resolverRow(func(p *process) { p.kill() }, func(p *process) { p.start() })},
		{name: "resolver stopped (SIGSTOP)", sender: "`451 4.4.3` at RCPT, after `dns.timeout`", kept: senderKeeps, back: byItself, says: "`dns_failures_total`", run: resolverRow(func(p *process) { p.signal(syscall.SIGSTOP) }, func(p *process) { p.signal(syscall.SIGCONT) })},
		{name: "resolver hung", sender: "`451 4.4.3` at RCPT, after `dns.timeout`", kept: senderKeeps, back: byItself, says: "`dns_failures_total`", run: dnsRow(dnslab.Timeout)},
		{name: "resolver talks garbage", sender: "`451 4.4.3` at RCPT", kept: senderKeeps, back: byItself, says: "`dns_failures_total`", run: dnsRow(dnslab.Garbage)},
		{name: "a directory of recipients is away, broken, empty or lost more than half", sender: "250 or 550 by what was read before; `451 4.4.3` if that never was", kept: "as always", back: "by itself; `gatepost recipients sync NAME --force` for one that shrank", says: "alarm `directories`; `directory_failed`; `directory_up` 0", shown: "TestDirectory TestKeepsWhatWasGood"},
		{name: "a next hop takes every recipient", sender: "250", kept: "as always, never spooled", back: "once it refuses whom it does not know, in at most 6 h", says: "alarm `recipients`; `canary`; `recipients_accept_all`", shown: "TestAcceptsEverybody TestEveryone"},
		{name: "a DNS list refuses, lists the world, is parked or dead", sender: "250", kept: "delivered, marked `X-Gatepost-Unscanned: rbl.client`", back: "by itself, in at most 15 min (test points)", says: "alarm `lists`; `list_away`", shown: "TestListsAway TestLists"},
		{name: "a DNS list that could decide does not answer", sender: "`451 4.4.3` once, unless its mail was taken lately", kept: senderKeeps, back: byItself, says: "reason `rbl.late`", shown: "TestListsAway"},
		{name: "Redis dead, or absent at the start", sender: "nothing", kept: delivered1, back: "by itself, in at most 5 s (probe)", says: "alarm `redis`; FAIL in `gatepost status`", run: redisDead},
		{name: "Redis hung or stopped (SIGSTOP)", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `redis`", run: redisStopped},
		{name: "Redis out of memory", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `redis`", run: redisFull},
		{name: "Redis has another password", sender: "nothing", kept: delivered1, back: "by itself, with the old one; else at a restart", says: "alarm `redis`", run: redisDenied},
		{name: "Redis became a replica", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `redis`", run: redisReplica},
		{name: "PostgreSQL of control data dead, or absent at the start", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `control_data`; `control_data_faults_total`; FAIL in `gatepost status`", run: dataAway},
		{name: "PostgreSQL of control data hung or stopped (SIGSTOP)", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `control_data`; `control_data_faults_total`", run: dataHung},
		{name: "disk full under the bodies", sender: "`452 4.3.1`; messages that fit in memory pass", kept: senderKeeps, back: "by itself, when there is room", says: "reason `smtp.no_storage`", run: bodyFull},
		{name: "disk of the bodies read-only", sender: "`452 4.3.1`; messages that fit in memory pass", kept: senderKeeps, back: byItself, says: "reason `smtp.no_storage`", run: bodyReadOnly},
		{name: "room of `body.max_disk` taken", sender: "`452 4.3.1`", kept: senderKeeps, back: byItself, says: "`body_disk_octets`", shown: "TestNoRoom"},
		{name: "a body cannot be read again", sender: "`451`", kept: "the sender keeps it; the next hop never sees its end", back: byItself, says: "`relay` in the journal", run: bodyGone},
		{name: "disk full under the message log", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `log`; `log_failed_total`", run: logFull},
		{name: "disk hung under the message log", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `log`, and the overview of the console; `log_dropped_total` once the queue is full", run: logHung},
		{name: "file of the message log locked by another process", sender: "nothing", kept: delivered1, back: byItself, says: "alarm `log`; `log_failed_total`", run: logLocked},
		{name: "disk full under `clients.db`, `known.db`, `greylist.db` and `reputation.db`", sender: "nothing", kept: delivered1, back: byItself, says: "stderr: `... cannot be saved; a restart would forget`", run: memoryFull},
		{name: "`clients.db`, `known.db`, `greylist.db` or `reputation.db` damaged or unusable", sender: "nothing", kept: delivered1, back: "all is learned anew", says: "stderr: `set aside`, or `a restart will forget`", shown: "TestKnownKept TestClientsDamaged TestKnownDamaged TestGreylistHostile TestReputationFile"},
		{name: "out of file descriptors", sender: "no banner until there are some; open sessions go on, or hear 451", kept: senderKeeps, back: byItself, says: "stderr: `no connection can be accepted`, with the reason; `listeners` in `gatepost status`", run: outOfDescriptors},
		{name: "reader of the metrics hung", sender: "nothing", kept: delivered1, back: "by itself, in 30 s", says: "nothing", run: metricsHung},
		{name: "reader of stdout gone", sender: "nothing", kept: delivered1, back: "at a restart", says: "`journal_dropped_total{sink=\"stdout\"}`", run: stdoutGone},
		{name: "reader of stdout hung", sender: "nothing", kept: delivered1, back: "when it reads", says: "`journal_dropped_total{sink=\"stdout\"}`, when 8,192 lines wait", run: stdoutHung},
		{name: "syslog hung (unix)", sender: "nothing", kept: delivered1, back: byItself, says: "`journal_dropped_total{sink=\"syslog\"}`", run: syslogHung},
		{name: "syslog hung or away (tcp)", sender: "nothing", kept: delivered1, back: byItself, says: "`journal_dropped_total{sink=\"syslog\"}`", run: syslogAway},
		{name: "next hop away, and its route spools", sender: "250 where all recipients are verified and all scanners answered; else `451`", kept: "in the spool, then delivered once", back: byItself, says: "alarm `next hops`; `spool_queued`; alarm `spool queue` after `queue.alarm_after`", shown: "TestSpoolOutage"},
		{name: "the next hop refuses what was spooled", sender: "a notice, where its domain passed SPF or DMARC", kept: "else a dead letter, until somebody looks", back: "[a person](spool.md#failure-notices-and-dead-letters)", says: "`spool_failed`; alarm `dead letters`", shown: "TestSpoolFailures"},
		{name: "disk full under the spool", sender: "`452` at RCPT, or `451` after the dot where it became full meanwhile", kept: senderKeeps, back: "by itself, when there is room", says: "alarm `spool`", shown: "TestSpoolDisk TestSpoolFull"},
		{name: "disk of the spool read-only, or a flush fails", sender: "`451` once, then `452` at RCPT", kept: "the sender keeps it; what lay there stays, and is still delivered", back: "[a person](spool.md#at-3-am): `gatepost queue clear-latch`", says: "`spool_latched`; alarm `spool`", shown: "TestSpoolDisk"},
		{name: "killed (SIGKILL, power)", sender: "the connection ends", kept: "the sender keeps it, or the spool; a second copy only if killed while the next hop's 250 was on its way, see below", back: "restart", says: "a new `ready` without a `stop`; the log lacks at most the last 250 ms", shown: "TestKillCampaign TestKill TestMatrix"},
		{name: "the file `ledger` full, damaged or unusable", sender: "nothing", kept: "delivered once; after a kill retries may be second copies", back: "by itself", says: "alarm `ledger`; stderr: `ledger: ...`; `ledger_faults_total`", shown: "TestDamage TestUnwritable"},
		{name: "SIGTERM", sender: "`421 4.3.2`, between transactions", kept: delivered1, back: "restart", says: "`drain`, `stop`", shown: "TestTerminate TestTerminateInTime"},
		{name: "a document is wrong at a reload", sender: "nothing", kept: delivered1, back: "with a good document", says: "`reload_failed`", shown: "TestReload"},
		{name: "clients slow, rude, in crowds", sender: "`421`; others nothing", kept: "what did not come whole is no message", back: byItself, says: "`end` of the connection: timeout, limit, protocol, tls", shown: "TestSlowClients TestFloods TestHeld TestChurn TestClientVanishes"},
	}
}

func scannerRow(check string, a lab.Action) func(*testing.T) {
	return func(t *testing.T) {
		w := begin(t, setup{clamavTimeout: "2s", spamdTimeout: "2s"})
		b := &broken{w: w, part: check, told: "451 4.7.1"}
		on := func(a ...lab.Action) { w.clamd.On("CONNECT", a...) }
		if check == "spamassassin" {
			b.told, b.mark = "250", check
			on = func(a ...lab.Action) { w.spamd.On("CONNECT", a...) }
		}
		b.breaks, b.mends = func(*testing.T) { on(a) }, func(*testing.T) { on() }
		b.endure(t)
	}
}

func dnsRow(kind dnslab.Kind) func(*testing.T) {
	return func(t *testing.T) {
		w := begin(t, setup{dnsTimeout: "3s", limits: noWaits})
		b := &broken{w: w, told: "451 4.4.3", metric: "gatepost_dns_failures_total", fresh: true}
		b.breaks = func(*testing.T) { w.dns.SetFault("*", dnslab.Fault{Kind: kind}) }
		b.mends = func(*testing.T) { w.dns.SetFault("*") }
		b.endure(t)
	}
}

// process is a name server that can be stopped and killed.
type process struct {
	t    *testing.T
	addr string
	run  *crowd
}

func (p *process) start() {
	p.run = startCrowd(p.t.Context(), p.t, "dns "+p.addr)
	p.run.said(p.t)
}

func (p *process) kill() { _ = p.run.cmd.Process.Kill(); _ = p.run.cmd.Wait() }

func (p *process) signal(s syscall.Signal) {
	_ = p.run.cmd.Process.Signal(s)
	if s != syscall.SIGSTOP {
		return
	}
	if err := lab.AwaitStopped(p.run.cmd.Process.Pid, false); err != nil {
		p.t.Error(err)
	}
}

func resolverRow(breaks, mends func(*process)) func(*testing.T) {
	return func(t *testing.T) {
		p := &process{t: t, addr: keptPort(t).Addr()}
		p.start()
		b := &broken{w: begin(t, setup{dns: p.addr, dnsTimeout: "3s"}), told: "451 4.4.3", metric: "gatepost_dns_failures_total", fresh: true}
		b.breaks, b.mends = func(*testing.T) { breaks(p) }, func(*testing.T) { mends(p) }
		b.endure(t)
	}
}

// onDisk is a daemon for which a folder is a small file system of its own, in memory.
func onDisk(t *testing.T, s setup, folder func(dir string) string, options string) (w *world, path string, remount func(options string)) {
	t.Helper()
	return mounted(t, s, folder, "-t tmpfs -o "+options+" none")
}

// mounted is a daemon for which something is mounted on a folder, as the words of mount say, where only the daemon sees it, so that it
// goes with it.
func mounted(t *testing.T, s setup, folder func(dir string) string, what string) (w *world, path string, remount func(options string)) {
	t.Helper()
	binary, err := lab.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := filepath.Join(labtest.Dir(t), "start")
	s.binary, s.clamav, s.spamd = start, "off", "off"
	w = newWorld(t, s)
	path = folder(w.dir)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec unshare -m sh -c 'mount %s %s && exec \"$0\" \"$@\"' %s \"$@\"\n", what, path, binary)
	// What another test starts at this moment would hold the script open for writing, and then it cannot be run.
	syscall.ForkLock.RLock()
	err = os.WriteFile(start, []byte(script), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	w.start(t)
	remount = func(options string) {
		t.Helper()
		// Also into its root: this machine may itself be a folder of another. The disk is busy as long as the body of the
		// message before is open, which was answered already.
		for {
			out, err := exec.CommandContext(labtest.Context(t), "nsenter", "-m", "-r", "-t", strconv.Itoa(w.daemon.PID()), "mount", "-o",
				"remount,"+options, folder(w.dir)).CombinedOutput()
			if err == nil {
				return
			}
			if !strings.Contains(string(out), "busy") {
				t.Fatalf("remount: %v %s", err, out)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return w, fmt.Sprintf("/proc/%d/root%s", w.daemon.PID(), path), remount
}

func bodyFolder(dir string) string { return filepath.Join(lab.StateDir(dir), "tmp") }

const smallBodies = "memory = \"4K\""

func bodyFull(t *testing.T) {
	w, path, _ := onDisk(t, setup{body: smallBodies}, bodyFolder, "size=320m")
	ballast := filepath.Join(path, "ballast")
	b := &broken{w: w, told: "452 4.3.1", lines: 200}
	b.breaks = func(t *testing.T) {
		if err := os.WriteFile(ballast, make([]byte, 100<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.mends = func(t *testing.T) {
		w.awaitEvent(t, "transaction", "verdict=defer", "reason=smtp.no_storage")
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	b.endure(t)
}

func bodyReadOnly(t *testing.T) {
	w, _, remount := onDisk(t, setup{body: smallBodies}, bodyFolder, "size=320m")
	b := &broken{w: w, told: "452 4.3.1", lines: 200}
	b.breaks = func(*testing.T) { remount("ro") }
	b.mends = func(t *testing.T) {
		w.awaitEvent(t, "transaction", "verdict=defer", "reason=smtp.no_storage")
		remount("rw")
	}
	b.endure(t)
}

// bodyGone cuts the file of a body while the next hop thinks about DATA: what is left of it must not be taken for all.
func bodyGone(t *testing.T) {
	w := begin(t, setup{clamav: "off", spamd: "off", body: smallBodies})
	hop := w.hop(t)
	hop.On("DATA", lab.Action{Delay: 2 * time.Second}, lab.Action{})
	c := w.begun(t)
	c.send(strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10_000) + ".\r\n")
	awaitBegun(t, hop)
	cut := 0
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", w.daemon.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, bodyFolder(w.dir)) {
			if err := os.Truncate(fd, 5000); err != nil {
				t.Fatal(err)
			}
			cut++
		}
	}
	if cut != 1 {
		t.Fatalf("%d bodies in files", cut)
	}
	if r := c.reply(); !strings.HasPrefix(r, "451 ") {
		t.Errorf("the sender was told %q", r)
	}
	for _, m := range hop.Messages() {
		if m.Complete || m.Accepted {
			t.Errorf("the next hop took %d octets for a message", len(m.Body))
		}
	}
	w.served(t, "afterwards")
}

func logFull(t *testing.T) {
	w, path, _ := onDisk(t, setup{}, func(dir string) string { return filepath.Join(lab.StateDir(dir), "log") }, "size=16m")
	ballast := filepath.Join(path, "ballast")
	b := &broken{w: w, told: "250", part: "log", metric: "gatepost_log_failed_total"}
	b.breaks = func(t *testing.T) {
		if err := os.WriteFile(ballast, make([]byte, 32<<20), 0o600); err == nil {
			t.Error("the disk is not full")
		}
	}
	b.mends = func(t *testing.T) {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	b.endure(t)
}

func outOfDescriptors(t *testing.T) {
	w := begin(t, setup{clamav: "off", spamd: "off"})
	w.served(t, "before")
	open := w.hello(t)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.daemon.PID()))
	if err != nil {
		t.Fatal(err)
	}
	highest := 0
	for _, fd := range fds {
		if n, err := strconv.Atoi(fd.Name()); err == nil {
			highest = max(highest, n)
		}
	}
	var had unix.Rlimit
	if err := unix.Prlimit(w.daemon.PID(), unix.RLIMIT_NOFILE, nil, &had); err != nil {
		t.Fatal(err)
	}
	// As many as it has, so that gaps are filled by the first clients and the others wait.
	if err := unix.Prlimit(w.daemon.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(highest + 1), Max: had.Max}, nil); err != nil {
		t.Fatal(err)
	}
	var waiting []net.Conn
	for i := range highest + 10 { // each from an address of its own: no other limit is met
		conn, err := crowdDial(w.addr(), i*perAddress)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		waiting = append(waiting, conn)
	}
	if err := eventually(labtest.Context(t), func() (string, bool) {
		return "silent", strings.Contains(w.daemonSaid(), "too many open files")
	}); err != nil {
		t.Fatal(err)
	}
	before := len(w.hop(t).Accepted())
	said := open.deliver("bob@served.test", "without descriptors")
	if got := len(w.hop(t).Accepted()) - before; said.accepted() != (got == 1) || !said.accepted() && !strings.HasPrefix(said.last(), "4") {
		t.Errorf("the sender was told %q, and %d messages arrived", said.last(), got)
	}
	if err := unix.Prlimit(w.daemon.PID(), unix.RLIMIT_NOFILE, &had, nil); err != nil {
		t.Fatal(err)
	}
	for _, conn := range waiting {
		_ = conn.SetReadDeadline(time.Now().Add(clientTime))
		banner := make([]byte, 200)
		if n, err := conn.Read(banner); err != nil || banner[0] != '2' && banner[0] != '4' {
			t.Errorf("a client that waited was told %q, %v", banner[:n], err)
		}
		conn.Close()
	}
	w.served(t, "afterwards")
}

func metricsHung(t *testing.T) {
	w := begin(t, setup{clamav: "off", spamd: "off"})
	a, err := w.daemon.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	before := w.usage(t)
	for i := range 200 {
		conn, err := net.DialTimeout("tcp", a.Metrics, clientTime)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		request := "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
		if i%2 == 0 {
			request = request[:20]
		}
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
	}
	w.served(t, "while readers of the metrics hang")
	w.returns(t, before)
	w.served(t, "afterwards")
}

// hungPipe is a pipe that nobody reads.
func hungPipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

func stdoutGone(t *testing.T) {
	reader, writer := hungPipe(t)
	w := begin(t, setup{stdout: writer})
	b := &broken{w: w, told: "250", metric: `gatepost_journal_dropped_total{sink="stdout"}`, breaks: func(*testing.T) { reader.Close() }, mends: nothing}
	b.endure(t)
}

func stdoutHung(t *testing.T) {
	reader, writer := hungPipe(t)
	w := begin(t, setup{stdout: writer, clamav: "off", spamd: "off", limits: noWaits + "connections_per_client = 1000\nconnections_per_network = 1000\nconnections_per_wide_network = 1000\n"})
	b := &broken{w: w, told: "250", metric: `gatepost_journal_dropped_total{sink="stdout"}`}
	b.breaks = func(t *testing.T) { // more events than may wait
		each(10_000, 16, func(i int) {
			conn, err := crowdDial(w.addr(), i*perAddress)
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.SetDeadline(time.Now().Add(clientTime))
			_, _ = conn.Write([]byte("EHLO hurry.example.org\r\nQUIT\r\n"))
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		})
	}
	b.mends = func(*testing.T) { reader.Close() }
	b.endure(t)
}

func syslogHung(t *testing.T) {
	path := filepath.Join(labtest.Dir(t), "log")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	fill, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	w := begin(t, setup{bootstrap: "[log]\nsyslog = \"unix:" + path + "\"\n"})
	b := &broken{w: w, told: "250", metric: `gatepost_journal_dropped_total{sink="syslog"}`, mends: func(*testing.T) { server.Close() }}
	b.breaks = func(*testing.T) { // nobody reads: the socket's queue is full
		_ = fill.SetWriteDeadline(time.Now().Add(time.Second))
		for _, err := fill.Write([]byte("x")); err == nil; _, err = fill.Write([]byte("x")) {
		}
	}
	b.endure(t)
}

func syslogAway(t *testing.T) {
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() // it takes connections, and nobody reads
	w := begin(t, setup{bootstrap: "[log]\nsyslog = \"tcp:" + server.Addr().String() + "\"\n"})
	b := &broken{w: w, told: "250", metric: `gatepost_journal_dropped_total{sink="syslog"}`, mends: nothing}
	b.breaks = func(*testing.T) { server.Close() }
	b.endure(t)
}
