package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// row is one thing that may be found, and the page of it.
type row struct {
	name string
	set  func(w *World)
	want string
}

func run(t *testing.T, rows []row, base func() *World, group func(w *World) Group) {
	t.Helper()
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			w := base()
			c.set(w)
			if got := strings.Join(page(t, group(w)), "|"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(got, "|", "\n"), strings.ReplaceAll(c.want, "|", "\n"))
			}
		})
	}
}

// at is where keys stand in these tests.
func at(key string) string { return "gatepost.toml:1" }

// TestDaemon shows what is told of the daemon, and that it does not run.
func TestDaemon(t *testing.T) {
	answer := func(change func(d *Daemon)) func(w *World) {
		return func(w *World) {
			d := &Daemon{Version: "1.0", Mode: "enforce", Policy: "abc", OnDisk: "abc", Memory: 0.1}
			change(d)
			w.AskDaemon = func(context.Context) (*Daemon, error) { return d, nil }
		}
	}
	fault := func(err error) func(w *World) {
		return func(w *World) { w.AskDaemon = func(context.Context) (*Daemon, error) { return nil, err } }
	}
	const well = "ok daemon.running|ok daemon.policy|ok daemon.memory"
	run(t, []row{
		{"well", answer(func(*Daemon) {}), well},
		{"away", fault(ErrNotRunning), "FAIL daemon.running : it does not run, or not with this configuration: no mail comes in -> systemctl start gatepost; journalctl -u gatepost -n 50 tells why it ended"},
		{"not allowed", fault(os.ErrPermission), "? daemon.running : it could not be asked: permission denied -> run gatepost doctor as root, or as the user of the daemon"},
		{"old policy", answer(func(d *Daemon) { d.OnDisk = "def" }), "ok daemon.running|warn daemon.policy : policy abc is in force, and policy.toml is def by now -> gatepost check, then gatepost reload|ok daemon.memory"},
		{"soft", answer(func(d *Daemon) { d.Mode = "soft" }), "ok daemon.running|warn daemon.policy : mode is soft: most verdicts are not carried out -> gatepost.toml:1: mode = \"enforce\"    once the log shows that it would refuse nothing that is wanted|ok daemon.memory"},
		{"drained", answer(func(d *Daemon) {
			d.Drained, d.Parts = "drained by an operator", []Part{{"listeners", false, "drained by an operator"}}
		}), "ok daemon.running|ok daemon.policy|warn daemon.drain : drained by an operator -> gatepost resume|ok daemon.memory|warn daemon.part listeners: drained by an operator -> gatepost status; docs/faults.md tells what it means for mail"},
		{"full", answer(func(d *Daemon) { d.Memory = 0.95 }), "ok daemon.running|ok daemon.policy|warn daemon.memory : 95 % of its memory is in use: load is shed -> give it more (MemoryMax= of gatepost.service), or gatepost.toml:1: [limits] connections = fewer"},
		{"parts", answer(func(d *Daemon) {
			d.Parts = []Part{{"clamav", true, ""}, {"lists", false, "one is away"}, {"spool", false, "its disk failed"}}
		}), well + "|ok daemon.part|warn daemon.part lists: one is away -> gatepost status; docs/faults.md tells what it means for mail|FAIL daemon.part spool: its disk failed -> gatepost status; journalctl -u gatepost -n 50"},
	}, func() *World { return &World{At: at} }, func(w *World) Group { return Group{"daemon", w.lookDaemon} })
}

// TestLists shows lists that do not work, that have us, and that nobody asks.
func TestLists(t *testing.T) {
	own := netip.MustParseAddr("198.51.100.25")
	answer := func(list ...List) func(w *World) {
		return func(w *World) {
			w.AskLists = func(_ context.Context, about []netip.Addr) ([]List, error) {
				if len(about) != 1 || about[0] != own {
					t.Errorf("asked about %v", about)
				}
				return list, nil
			}
		}
	}
	run(t, []row{
		{"none", answer(), "ok lists.used"},
		{"named and not used", func(w *World) { answer()(w); w.ListsNamed = 2 }, "warn lists.used : 2 lists are named and none is asked -> gatepost.toml:1: [rbl] use = \"commercial\"    or \"non-commercial\", as you may use them"},
		{"no key", func(w *World) {
			w.AskLists = func(context.Context, []netip.Addr) ([]List, error) {
				return nil, errors.New("rbl.list[a].key_file: no such file")
			}
		}, "FAIL lists.used : rbl.list[a].key_file: no such file -> gatepost check"},
		{"works", answer(List{Name: "a", Armed: true}), "ok lists.used|ok lists.works|ok lists.listed"},
		{"does not work", answer(List{Name: "a", Why: "public resolver", Website: "https://a.test"}), "ok lists.used|warn lists.works a: is not used for mail, since it does not prove that it works: public resolver -> see dns.public; gatepost rbl test 127.0.0.2 shows each answer; its terms: https://a.test"},
		{"listed", answer(List{Name: "a", Armed: true, Website: "https://a.test", Listed: []netip.Addr{own}}), "ok lists.used|ok lists.works|warn lists.listed a: 198.51.100.25 of this host is on it: mail that leaves from there is refused by those who use it -> find out what was sent from there, then ask to be taken off: https://a.test"},
		{"cannot tell", answer(List{Name: "a", Armed: true, Unknown: []netip.Addr{own}}), "ok lists.used|ok lists.works|? lists.listed a: whether 198.51.100.25 of this host is on it cannot be told"},
	}, func() *World {
		return &World{At: at, Hostname: here, DNS: mapDNS{"A+AAAA " + here: addrs("10.0.0.1", own.String(), "127.0.0.1")}}
	}, func(w *World) Group { return Group{"lists", w.lookLists} })
}

// TestNextHops shows next hops that are away, in clear, small, poor, and that know nobody.
func TestNextHops(t *testing.T) {
	good := Hop{Route: "in", Address: "192.0.2.2:25", Mode: "opportunistic", TLS: "TLS1.3", Size: 100, EightBit: true, UTF8: true, Chunking: true, DSN: true}
	hop := func(change func(h *Hop)) Hop { h := good; change(&h); return h }
	answer := func(hops []Hop, knows ...Knows) func(w *World) {
		return func(w *World) {
			w.AskHops = func(context.Context) ([]Hop, []Knows, error) { return hops, knows, nil }
		}
	}
	away := hop(func(h *Hop) { h.Address, h.Said = "192.0.2.3:25", errors.New("connection refused") })
	const well = "ok nexthops.reach|ok nexthops.tls|ok nexthops.size|ok nexthops.offers"
	asked := Knows{Domain: "example.org", Route: "in", NextHop: "192.0.2.2:25", Asked: true}
	run(t, []row{
		{"good", answer([]Hop{good}, asked), well + "|ok nexthops.recipients"},
		{"no configuration", func(w *World) {
			w.AskHops = func(context.Context) ([]Hop, []Knows, error) {
				return nil, nil, errors.New("route[in].ca_file: no such file")
			}
		}, "FAIL nexthops.reach : route[in].ca_file: no such file -> gatepost check"},
		{"away", answer([]Hop{away}, Knows{Domain: "example.org", Route: "in"}), "FAIL nexthops.reach 192.0.2.3:25 (route in): connection refused; no next hop of the route takes mail -> gatepost handover tells what that server must allow; gatepost.toml:1: [[route]] in: next_hop"},
		{"away, of another", answer([]Hop{hop(func(h *Hop) { h.Address, h.Said = "mx:example.net", errors.New("dns: nxdomain") })}), "FAIL nexthops.reach mx:example.net (route in): dns: nxdomain; no next hop of the route takes mail -> gatepost.toml:1: [[route]] in: next_hop"},
		{"one of two away", answer([]Hop{good, away}), well + "|warn nexthops.reach 192.0.2.3:25 (route in): connection refused; another next hop of the route takes its mail -> gatepost handover tells what that server must allow; gatepost.toml:1: [[route]] in: next_hop"},
		{"away, and it is known why", answer([]Hop{hop(func(h *Hop) { h.Said, h.Recommend = errors.New("certificate"), "do this" })}), "FAIL nexthops.reach 192.0.2.2:25 (route in): certificate; no next hop of the route takes mail -> do this"},
		{"in clear", answer([]Hop{hop(func(h *Hop) { h.TLS = "" })}), "ok nexthops.reach|warn nexthops.tls 192.0.2.2:25 (route in): in clear, since it offers no STARTTLS that works -> let it offer STARTTLS; then gatepost.toml:1: [[route]] in: tls = \"required\"|ok nexthops.size|ok nexthops.offers"},
		{"in clear on purpose", answer([]Hop{hop(func(h *Hop) { h.TLS, h.Mode = "", "none" })}), "ok nexthops.reach|warn nexthops.tls 192.0.2.2:25 (route in): in clear, as it is written: whoever is between reads and changes mail -> gatepost.toml:1: [[route]] in: tls = \"required\"    with ca_file, or \"fingerprint\"|ok nexthops.size|ok nexthops.offers"},
		{"in clear on this host", answer([]Hop{hop(func(h *Hop) { h.TLS, h.Inside = "", true })}), well},
		{"small", answer([]Hop{hop(func(h *Hop) { h.Size = 99 })}), "ok nexthops.reach|ok nexthops.tls|warn nexthops.size 192.0.2.2:25 (route in): takes messages up to 99 octets, and limits.message_size is 100: bigger ones are refused -> raise it there to 100, or gatepost.toml:1: [limits] message_size = 99|ok nexthops.offers"},
		{"no limit", answer([]Hop{hop(func(h *Hop) { h.Size = 0 })}), well},
		{"poor", answer([]Hop{hop(func(h *Hop) { h.EightBit = false })}), "ok nexthops.reach|ok nexthops.tls|ok nexthops.size|warn nexthops.offers 192.0.2.2:25 (route in): does not offer 8BITMIME: mail that is not plain ASCII is refused here -> let it offer 8BITMIME; every server of today can"},
		{"plain", answer([]Hop{hop(func(h *Hop) { h.UTF8, h.DSN, h.Chunking = false, false, false })}), well},
		{"takes everybody", answer([]Hop{good}, Knows{"example.org", "in", "192.0.2.2:25", true, true, ""}), well + "|warn nexthops.recipients example.org: 192.0.2.2:25 takes every recipient, so mail to nobody is taken here and bounces there -> have it refuse at RCPT whom it does not know, or gatepost.toml:1: [[route]] in: recipients = \"directory\"    (docs/recipients.md; Exchange needs it)"},
		{"no postmaster", answer([]Hop{good}, Knows{"example.org", "in", "192.0.2.2:25", true, false, "550 who?"}), well + "|warn nexthops.recipients example.org: no postmaster: 192.0.2.2:25 says 550 who? -> make postmaster@example.org there, or gatepost.toml:1: postmaster = \"admin@example.org\""},
		{"unclear", answer([]Hop{good}, Knows{Domain: "example.org", Route: "in"}), well + "|? nexthops.recipients example.org: its next hop gave no clear answer about a recipient that cannot exist -> gatepost recipients directories"},
	}, func() *World { return &World{At: at, MessageSize: 100} }, func(w *World) Group { return Group{"nexthops", w.nextHops} })
}

// TestScanners shows scanners that are away, blind, old and small.
func TestScanners(t *testing.T) {
	now := time.Date(2026, 11, 26, 20, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	clam := Scanner{Kind: "clamd", Address: "unix:/c", Database: 27500, Date: day(1), Limit: 100}
	spam := Scanner{Kind: "spamd", Address: "unix:/s", Rules: day(10), RulesWhere: "/var/lib/spamassassin"}
	with := func(s Scanner, change func(s *Scanner)) func(w *World) {
		change(&s)
		return func(w *World) { w.AskScanners = func(context.Context) []Scanner { return []Scanner{s} } }
	}
	const fresh, clamd = " -> systemctl status clamav-freshclam; freshclam", "ok scanners.clamd|ok scanners.signatures|ok scanners.limit"
	const sigs = "ok scanners.clamd|%|ok scanners.limit"
	run(t, []row{
		{"clamd", with(clam, func(*Scanner) {}), clamd},
		{"needed", with(clam, func(s *Scanner) { s.Err, s.Needed = errors.New("connection refused"), true }), "FAIL scanners.clamd unix:/c: connection refused; mail is deferred without it -> systemctl status clamav-daemon"},
		{"not needed", with(clam, func(s *Scanner) { s.Err = errors.New("connection refused") }), "warn scanners.clamd unix:/c: connection refused; mail goes on without it -> systemctl status clamav-daemon"},
		{"local only", with(clam, func(s *Scanner) { s.Database, s.LocalOnly = 0, true }), clamd},
		{"no database", with(clam, func(s *Scanner) { s.Database = 0 }), strings.Replace(sigs, "%", "FAIL scanners.signatures unix:/c: it has no official database: it finds next to nothing"+fresh+" -> or, if that is meant: gatepost.toml:1: [clamav] local_only = true", 1)},
		{"old", with(clam, func(s *Scanner) { s.Date = day(5) }), strings.Replace(sigs, "%", "warn scanners.signatures unix:/c: database 27500 is 5 days old"+fresh, 1)},
		{"very old", with(clam, func(s *Scanner) { s.Date = day(15) }), strings.Replace(sigs, "%", "FAIL scanners.signatures unix:/c: database 27500 is 15 days old: malware of today passes"+fresh, 1)},
		{"small", with(clam, func(s *Scanner) { s.Limit = 99 }), "ok scanners.clamd|ok scanners.signatures|warn scanners.limit unix:/c: looks through messages up to 99 octets, and limits.message_size is 100 -> in clamd.conf: StreamMaxLength 65636, MaxFileSize 65636, MaxScanSize 131272 -> or gatepost.toml:1: [limits] message_size = 99"},
		{"limit unknown", with(clam, func(s *Scanner) { s.LimitErr = errors.New("timeout") }), "ok scanners.clamd|ok scanners.signatures|? scanners.limit unix:/c: how large a message it looks through cannot be told: timeout"},
		{"spamd", with(spam, func(*Scanner) {}), "ok scanners.spamd|ok scanners.rules"},
		{"spamd elsewhere", with(spam, func(s *Scanner) { s.RulesWhere, s.Rules = "", time.Time{} }), "ok scanners.spamd"},
		{"never updated", with(spam, func(s *Scanner) { s.Rules = time.Time{} }), "ok scanners.spamd|warn scanners.rules unix:/s: there are no updates below /var/lib/spamassassin: its rules are those of its package -> systemctl enable --now spamassassin-maintenance.timer; sa-update -v"},
		{"old rules", with(spam, func(s *Scanner) { s.Rules = day(61) }), "ok scanners.spamd|warn scanners.rules unix:/s: its rules are of DAY -> systemctl enable --now spamassassin-maintenance.timer; sa-update -v"},
		{"spamd away", with(spam, func(s *Scanner) { s.Err = errors.New("blind") }), "warn scanners.spamd unix:/s: blind; mail goes on without it -> systemctl status spamd"},
		{"engine", with(Scanner{Kind: "engine", Address: "rspamd at r", Said: "rspamd 3.4"}, func(*Scanner) {}), "ok scanners.engine"},
		{"engine away", with(Scanner{Kind: "engine", Address: "icap at i"}, func(s *Scanner) { s.Err, s.Needed = errors.New("blind"), true }), "FAIL scanners.engine icap at i: blind; mail is deferred without it -> look at what listens there, and at its log"},
		{"redis", with(Scanner{Kind: "redis", Address: "r"}, func(*Scanner) {}), "ok scanners.redis"},
		{"redis away", with(Scanner{Kind: "redis", Address: "r"}, func(s *Scanner) { s.Err = errors.New("denied") }), "warn scanners.redis r: denied; mail goes on without it -> systemctl status redis-server"},
	}, func() *World { return &World{At: at, MessageSize: 100, Now: func() time.Time { return now }} }, func(w *World) Group { return Group{"scanners", w.scanners} })
}

// TestServices shows what else may be away, with what that means.
func TestServices(t *testing.T) {
	away := func(kind string) func(w *World) {
		return func(w *World) {
			w.AskServices = func(context.Context) []Service { return []Service{{kind, "a", errors.New("away"), ""}} }
		}
	}
	run(t, []row{
		{"none", func(w *World) { w.AskServices = func(context.Context) []Service { return nil } }, ""},
		{"well", func(w *World) {
			w.AskServices = func(context.Context) []Service { return []Service{{"directory", "a", nil, "7 addresses"}} }
		}, "ok services.directory"},
		{"directory", away("directory"), "warn services.directory a: away; recipients are known by its copy, or not at all -> gatepost recipients sync; docs/recipients.md"},
		{"notices", away("notices"), "warn services.notices a: away; senders are not told when mail from the spool fails for good -> gatepost handover tells what that server must allow; gatepost.toml:1: [queue] notices_via"},
		{"reports", away("reports"), "warn services.reports a: away; DMARC reports wait -> gatepost dmarc report; gatepost.toml:1: [reports.dmarc] via"},
		{"key", away("arc_key"), "warn services.arc_key a: away; seals of this host are not believed -> gatepost dkim key show prints the TXT record to paste"},
		{"acme", away("acme"), "warn services.acme a: away; certificates are not renewed -> gatepost tls status; gatepost.toml:1: [acme] directory"},
	}, func() *World { return &World{At: at} }, func(w *World) Group { return Group{"services", w.services} })
}

// TestDisk shows folders that are not there, are open to all, full, or cannot be written.
func TestDisk(t *testing.T) {
	root := t.TempDir()
	mk := func(name string, mode os.FileMode) string {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	closed, open, file := mk("closed", 0o700), mk("open", 0o755), filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := func(f Folder) func(w *World) {
		f.What, f.Key, f.Reserve = "state", "state_dir", 100<<20
		return func(w *World) { w.Folders = []Folder{f} }
	}
	disk := func(free int64, share float64) func(w *World) {
		return func(w *World) {
			folder(Folder{Path: closed})(w)
			w.Statfs = func(string) (int64, bool, float64, error) { return free << 20, true, share, nil }
		}
	}
	df := " -> df -h " + closed + "; du -xh --max-depth=2 " + closed + " | sort -h | tail; or gatepost.toml:1: state_dir = a folder on a bigger disk"
	df = strings.ReplaceAll(df, "|", "/") // as the rows are parted
	rows := []row{
		{"good", folder(Folder{Path: closed, Secret: true, Durable: true}), "ok disk.folder|ok disk.space|ok disk.inodes|ok disk.fsync"},
		{"not yet", folder(Folder{Path: filepath.Join(root, "none")}), "ok disk.folder"},
		{"no folder", folder(Folder{Path: file}), "FAIL disk.folder state " + file + ": is no folder -> gatepost.toml:1: state_dir"},
		{"below a file", folder(Folder{Path: filepath.Join(file, "x")}), "FAIL disk.folder state " + file + "/x: stat " + file + "/x: not a directory -> gatepost.toml:1: state_dir"},
		{"open to all", folder(Folder{Path: open, Secret: true}), "warn disk.folder state " + open + ": everybody on this host may look into it (mode 0755): keys and mail lie there -> chmod 700 " + open + "|ok disk.space|ok disk.inodes"},
		{"full", disk(99, 0.5), "ok disk.folder|FAIL disk.space state " + closed + ": 99 MiB are free, less than the 100 that must stay: mail is deferred" + df + "|ok disk.inodes"},
		{"nearly full", disk(150, 0.5), "ok disk.folder|warn disk.space state " + closed + ": 150 MiB are free, and from 100 on mail is deferred" + df + "|ok disk.inodes"},
		{"no inodes", disk(1000, 0.01), "ok disk.folder|ok disk.space|warn disk.inodes state " + closed + ": 1.0 % of the inodes are free -> df -i " + closed + "; remove small files, or gatepost.toml:1: state_dir = a folder on another file system"},
		{"no statfs", func(w *World) {
			disk(0, 0)(w)
			w.Statfs = func(string) (int64, bool, float64, error) { return 0, false, 0, errors.New("statfs: broken") }
		}, "ok disk.folder|? disk.space state " + closed + ": statfs: broken"},
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			w := &World{At: at, Statfs: func(string) (int64, bool, float64, error) { return 1 << 40, true, 0.9, nil }}
			c.set(w)
			var got []string
			for _, l := range page(t, Group{"disk", w.disk}) {
				got = append(got, strings.ReplaceAll(l, "|", "/"))
			}
			if got := strings.Join(got, "|"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	if free, _, share, err := Statfs(root); err != nil || free <= 0 || share < 0 || share > 1 {
		t.Errorf("statfs: %d %g %v", free, share, err)
	}
	if entries, err := os.ReadDir(closed); err != nil || len(entries) > 0 {
		t.Errorf("something was left behind: %v %v", entries, err)
	}
}

// TestFsync shows what is made of a folder in which nothing can be written. (/proc is one for root too.)
func TestFsync(t *testing.T) {
	w := &World{At: at, Statfs: func(string) (int64, bool, float64, error) { return 1 << 40, false, 0, nil }, Folders: []Folder{{What: "spool", Path: "/proc/self", Durable: true}}}
	got := page(t, Group{"disk", w.disk})
	if last := got[len(got)-1]; !strings.HasPrefix(last, "? disk.fsync") && !strings.HasPrefix(last, "FAIL disk.fsync spool /proc/self: nothing can be written: ") {
		t.Errorf("got %q", got)
	}
}
