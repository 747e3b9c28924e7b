package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatepost/cmd/gatepost/backups"
	"gatepost/cmd/gatepost/maillog"
	"gatepost/cmd/gatepost/strangers"
	"gatepost/console"
	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/gateway/journal"
	"gatepost/gateway/ledger"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/relay"
	"gatepost/gateway/reports"
	"gatepost/gateway/smtpd"
	"gatepost/gateway/spool"
	"gatepost/internal/api"
	"gatepost/internal/audit"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/memory"
	"gatepost/internal/resources"
	"gatepost/internal/sandbox"
	"gatepost/internal/seats"
	"gatepost/internal/store"
	"gatepost/internal/store/admin"
	"gatepost/internal/systemd"
	"gatepost/tls/certs"
)

// daemon is everything that runs. Its fields are in the order in which it is made.
type daemon struct {
	e           cli.Env
	configPath  string
	log         *slog.Logger
	notify      *systemd.Notifier
	lock        *os.File
	sandbox     sandbox.State
	resources   *resources.Memory
	descriptors int                       // that the process may have
	drained     atomic.Pointer[api.Drain] // nil while the host serves
	mayRead     []string                  // files that the sandbox was given one by one
	bootstrap   *config.Bootstrap         // of the start; a reload changes the policy only
	parts       *parts
	data        *admin.DB // control data; its calls fail while its store is away
	users       people
	versions    policyVersions
	audit       *audit.Log
	life        context.Context // of what runs beside the sessions
	store       *store.Log
	mail        made[*maillog.Log] // what is asked of the message log
	backing     made[*backups.Desk]
	tail        *maillog.Tail   // shows to followers what store gets
	clients     *store.Clients  // nil where its file cannot be used
	knownFile   *store.Known    // nil where its file cannot be used
	pastFile    *store.Known    // likewise: of reputations
	greyFile    *store.Greylist // likewise: of strangers
	memory      *memory.Clients
	reports     *reports.Reports
	tlsReports  *reports.Reports
	journal     *journal.Journal
	alarming
	restoring
	bodies       *spool.Bodies
	queue        *spool.Queue // nil where its folder cannot be used
	spoolError   string       // why
	spoolLock    *os.File     // goes with the process
	spoolCounts  spoolCounts
	spoolCounted counted
	vault        *quarantine.Vault // nil where it cannot be opened
	kept         keptIndexes       // of the vault
	vaultError   string            // why
	vaultCounted vaultCounted
	digests      digests
	portal       *portal.Portal
	portalUsers  *portalUsers
	portalRoom   seats.Seats
	console      *console.Server
	ledger       *ledger.Ledger
	names        *accept.Names // of messages, for the ledger
	ids          *gateway.IDs
	certificates certs.Set                     // that are shown: of files, of an authority, or one of our own
	tlsa         ownTLSA                       // what is published of their keys
	edge         *certs.Edge                   // what listeners for mail show them by
	now          atomic.Pointer[built]         // the configuration in force
	document     atomic.Pointer[config.Config] // it was made of
	swapping     sync.Mutex
	acme         *issuing // nil where no certificate is got from an authority
	public       *public  // nil where the document wants none
	hosted       hosting
	surface      *control.Surface // what can be asked; others serve copies of it
	server       *smtpd.Server
	pulses       []*systemd.Pulse
	started      time.Time
	where        api.Addresses
	learning     relearn
	guests       strangers.Book
	probing      relearn // of the DNS lists
	stopping     atomic.Bool

	following relearn      // of directories
	rcptFile  *store.Known // of what call-ahead learned; nil where its file cannot be used

	files    certs.Files // that hold certificates
	examined examined
	renewal  func(source string) (next time.Time, told string) // of certificates of an authority; nil without
}

// serve runs the gateway: read, build, listen, serve, drain.
func serve(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "serve")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	c := documentsToServe(e, f.Config)
	if c == nil {
		return cli.Found
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcMost)
	}
	d := &daemon{e: e, configPath: absolute(f.Config), bootstrap: c.Bootstrap, started: time.Now(), ids: new(gateway.IDs), log: newLogger(e, c.Bootstrap)}
	ctx, d.leave = context.WithCancelCause(ctx)
	if err := errors.Join(d.run(ctx, c), d.left(ctx)); err != nil {
		fmt.Fprintf(e.Err, "gatepost: %v\n", err)
		return cli.Found
	}
	return cli.Done
}

func newLogger(e cli.Env, b *config.Bootstrap) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(b.Log.Level)) // one of the four words; the decoder has looked
	return slog.New(slog.NewTextHandler(e.Err, &slog.HandlerOptions{Level: level}))
}

// run makes everything in order, serves until ctx is done, and ends it in the opposite order.
func (d *daemon) run(ctx context.Context, c *config.Config) (err error) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from the first moment on: unheard, it would end the process
	defer signal.Stop(hup)
	signal.Ignore(syscall.SIGPIPE) // a reader of stdout that goes away ends the lines, not the mail
	if d.notify, err = systemd.NewNotifier(); err != nil {
		return err
	}
	brought, err := systemd.Sockets()
	if err != nil {
		return err
	}
	if err := d.own(ctx, len(brought) > 0); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while it waited, it has nothing to end
		}
		return err
	}
	defer d.lock.Close()
	if err := d.measure(); err != nil { // before the sandbox, which holds the files of control groups back
		return err
	}
	if err := d.confine(c); err != nil {
		return err
	}
	if err := d.open(c); err != nil {
		return err
	}
	sockets, err := listen(d.bootstrap, brought)
	if err != nil {
		return err
	}
	socket, err := control.Listen(d.bootstrap.Control.Socket)
	if err != nil {
		return err
	}
	if d.console, err = d.newConsole(); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.life = background
	var running loops
	d.work(background, &running)
	d.server = &smtpd.Server{Current: func() *gateway.Snapshot { return d.now.Load().snapshot },
		Deliver: d.acceptor(), Spool: d.spoolPort(), NewBody: d.bodies.New, Journal: learner{d.journal, d}, Memory: d.memory, OnStress: d.tellStress,
		IDs: d.ids, Front: d.front,
		TLS: d.edge.Config, Leaving: d.leaving, Pressure: d.resources.Pressure, Log: d.log}
	d.where = d.addresses(sockets)
	if len(sockets.publicHTTP)+len(sockets.publicHTTPS) > 0 {
		d.public = d.newPublic()
	}
	d.instruments()
	d.alarmInstruments(d.journal.Metrics())
	failed := make(chan error, len(sockets.smtp)+len(sockets.publicHTTP)+len(sockets.publicHTTPS)+len(sockets.portal)+len(sockets.console)+len(sockets.ssh)+2)
	serving, stopServing := context.WithCancel(background)
	verbs := d.pulsed(socket)
	running.start("nodes", func() { d.nodeDesk().Run(background) })
	running.start("control socket", func() { failed <- control.Serve(background, verbs, d.verbs()) })
	d.startWeb(background, &running, &sockets, failed)
	d.awaitPolicy(ctx)
	d.firstLook(ctx)
	for _, l := range sockets.smtp {
		l.Listener = d.pulsed(l.Listener)
		running.start("listener "+l.name, func() { failed <- d.serveSMTP(serving, l) })
	}
	if err := writeAddresses(&d.where, d.bootstrap.StateDir); err != nil {
		d.log.Error("addresses", "error", err)
	}
	d.announce()
	d.told(d.notify.Ready(d.summary()))
	running.start("watchdog", func() { d.watchdog(background) })
	err = d.wait(ctx, hup, failed)
	return errors.Join(err, d.end(stopServing, stop, &running))
}

// firstLookTime bounds how long the first client waits for the next hops to be asked what they carry.
const firstLookTime = time.Second

// firstLook waits, not for long, until each next hop has answered or failed, and each DNS list too. Clients wait in the backlog
// meanwhile: one that was greeted before would not be offered 8BITMIME, and would re-encode its mail, which breaks its DKIM
// signature; and a listed one would be let in.
func (d *daemon) firstLook(ctx context.Context) {
	d.useLists(ctx, d.now.Load().lists)
	ctx, cancel := context.WithTimeout(ctx, firstLookTime)
	defer cancel()
	for ctx.Err() == nil && slices.ContainsFunc(d.now.Load().relay.Health(), unasked) {
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// unasked reports whether a next hop has neither answered nor failed yet.
func unasked(h relay.Health) bool { return h.LearnedAt.IsZero() && h.LastErrorAt.IsZero() }

// serveSMTP serves one socket, behind proxies or not.
func (d *daemon) serveSMTP(ctx context.Context, l smtpListener) error {
	if len(l.proxyFrom) > 0 {
		return d.server.ServeProxied(ctx, l.Listener, l.name, l.proxyFrom)
	}
	return d.server.Serve(ctx, l.Listener, l.name)
}

// own takes the state folder. With a socket of systemd another process may still be ending its sessions with it, while our
// clients wait in the backlog: then we wait too. Without one a second process is a mistake, and is told at once.
func (d *daemon) own(ctx context.Context, activated bool) (err error) {
	var patience time.Duration
	if activated {
		patience = d.bootstrap.Shutdown.Grace + afterGrace
	}
	waiting, done := context.WithCancel(ctx)
	var extending sync.WaitGroup
	d.lock, err = awaitState(ctx, d.bootstrap.StateDir, patience, func(why error) {
		d.log.Info("waiting for the process before to end", "why", why, "at_most", patience)
		extending.Go(func() { d.extend(waiting, func() string { return "waiting: " + why.Error() }) })
	})
	done()
	extending.Wait()
	return d.unrestored(err)
}

// open makes what the configuration names: store, journal, certificate, scanners, resolver, and the first snapshot.
func (d *daemon) open(c *config.Config) (err error) {
	b := d.bootstrap
	if d.parts, err = newParts(b, d.log); err != nil {
		return err
	}
	key, err := installationKey(b.StateDir)
	if err != nil {
		return err
	}
	if err := d.parts.useKey(key); err != nil {
		return err
	}
	d.openLedger(key)
	recallHops(b.StateDir, d.parts.hops, d.log)
	d.bodies = &spool.Bodies{Dir: b.Body.Dir, Memory: int64(b.Body.Memory), MaxMemory: int64(b.Body.MaxMemory), Disk: int64(b.Body.MaxDisk), Reserve: 256 << 20}
	d.parts.usePolicies(policyFolder(b.StateDir), d.log)
	d.parts.directories.folder = filepath.Join(b.StateDir, "directories")
	d.openTLSReports()
	d.openReceived()
	first, err := assemble(c, d.parts)
	if err != nil {
		return err
	}
	if err := first.readFiles(context.Background()); err != nil {
		return err
	}
	d.now.Store(first)
	d.document.Store(c)
	d.warnDescriptors()
	d.tellRoutes(c)
	d.openTLSA()
	if err := d.openCertificates(); err != nil {
		return err
	}
	if err := d.openACME(); err != nil {
		return err
	}
	if err := d.openLog(); err != nil {
		return err
	}
	if err := d.openData(); err != nil {
		return err
	}
	d.openMemory()
	d.openReports()
	d.tlsReports.Set(first.tlsReports)
	if d.journal, err = openJournal(d); err != nil {
		return err
	}
	d.openAlarms(first)
	d.parts.listChanged = d.tellList
	d.parts.directories.listen(d.tellDirectory)
	d.openSpool()
	d.openVault()
	d.openDigests()
	d.portalUsers = newPortalUsers(d)
	d.portal = &portal.Portal{Desk: &portalDesk{d: d}, Users: d.portalUsers}
	d.openVersions(c)
	d.openSurface()
	return nil
}

// work starts what runs beside the sessions: the probes, the learning of the next hops, the limit of clamd.
func (d *daemon) work(ctx context.Context, running *loops) {
	d.hostPolicies()
	for _, l := range append(d.parts.loops(),
		loop{"control data", d.tendData},
		loop{"policy versions", d.versions.Run},
		loop{"audit log", d.runAudit}, loop{"counts", d.questions().Run},
		loop{"pseudonyms", d.runPseudonyms}, loop{"retention", d.runRetention},
		loop{"session tickets", d.edge.Run},
		loop{"ledger", d.ledger.Run},
		loop{"certificates", d.files.Run},
		loop{"memory of clients", d.memory.Run},
		loop{"memory of domains and paths", d.parts.known.Run},
		loop{"histories", d.parts.histories.Run},
		loop{"reputation", d.parts.reputation.Run},
		loop{"greylist", d.runGreylist},
		loop{"recipients", d.saveRecipients},
		loop{"dmarc reports", d.reports.Run},
		loop{"tls reports", d.tlsReports.Run},
		loop{"spool", d.runSpool},
		loop{"quarantine", d.runVault},
		loop{"lessons", d.runLessons},
		loop{"digests", d.runDigests},
		loop{"portal", d.portalUsers.run},
		loop{"tlsa", d.watchTLSA},
		loop{"garbage collection", paceCollector},
		loop{"clamd's limit", d.learnScanLimit},
		loop{"memory of next hops", d.keepHops},
		loop{"mta-sts policies", d.parts.policies.Run},
		loop{"mta-sts records", d.watchRecords},
		loop{"alarms", d.runAlarms}, loop{"backups", d.runBackups}, loop{"restore", d.restoreDesk().Run}, loop{"settings", d.runSettings},
	) {
		running.start(l.name, func() { l.run(ctx) })
	}
	if d.acme != nil {
		running.start("acme", func() { d.acme.manager.Run(ctx) })
	}
	d.parts.policies.Want(policyDomains(d.document.Load().Policy)...)
	d.learning.with(ctx, d.now.Load().relay.Tend)
	d.following.with(ctx, d.runSources(d.now.Load()))
}

// wait returns when it is told to end, or when a listener fails. SIGHUP reloads.
func (d *daemon) wait(ctx context.Context, hup <-chan os.Signal, failed <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if err != nil {
				return err
			}
		case <-hup:
			note, err := d.reload(ctx)
			if err != nil {
				d.log.Error("reload: nothing was changed", "error", err)
			} else if note != "" {
				d.log.Warn("reload: " + note)
			}
		}
	}
}
