package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

// TestMain lets tests that mostly wait run beside one another, however few processors there are.
func TestMain(m *testing.M) {
	if role := os.Getenv(crowdRole); role != "" {
		if err := runCrowd(role, os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	m.Run()
}

// hostname is the daemon's own name.
const hostname = "mx.gatepost.test"

// zones are the names that the daemon can resolve.
var zones = dnslab.Text(`
example.org. MX 10 mail.example.org.
mail.example.org. A 192.0.2.10
client.example.org. A 192.0.2.20
nullmx.test. MX 0 .
*.fresh.test. MX 10 mail.example.org.
nohost.test. TXT "neither MX nor address"
xn--bcher-kva.example. MX 10 mail.example.org.
hops.test. MX 10 in.hops.test.
in.hops.test. A 127.0.0.1
loops.test. MX 10 mx.gatepost.test.
`)

// setup says what daemon a test wants. The zero value is one with the domain served.test on the route "internal" to a
// fake next hop, fake scanners, nobody trusted, and no wait where clients err.
type setup struct {
	bootstrap string // more of gatepost.toml
	web       string // more lines of [web]
	console   string // address of the console; "" for none
	shutdown  string // shutdown.grace; "" for the default
	body      string // lines of [body]
	top       string // top-level lines of policy.toml, such as the mode
	limits    string // lines of [limits], instead of noWaits; the message size is 4M unless they say otherwise
	policy    string // more tables of policy.toml; without a [[rate]] among them nothing is refused for how fast it comes
	routes    []route
	trusted   string // elements of trusted.networks
	env       []string
	stdout    *os.File // gets the journal, where no test reads it
	binary    string   // in place of the program, what starts it

	clamav, spamd string // address, or several with blanks between; "": a fake; "off"
	clamavTimeout string // "" for 20s
	spamdTimeout  string
	dnsTimeout    string // "" for 10s
	dns           string // address; "" for a name server with zones
	offers        string // what EHLO says once the daemon knows its next hops; "" for DSN, "-": nobody waits for that
}

// route is a way to a next hop. Its domain is NAME.test unless it is said otherwise.
type route struct {
	name    string
	domains []string
	lines   string // of [[route]]
	addr    string // of the next hop; "": a fake
	offers  []string
}

// world is a running daemon and what surrounds it.
type world struct {
	dir    string
	daemon *lab.Gatepost
	// changing guards daemon for those who ask for addr all the time.
	changing sync.Mutex

	hops  map[string]*lab.NextHop // the fakes, by route
	clamd *lab.FakeClamd          // nil where it is no fake
	spamd *lab.FakeSpamd
	dns   *dnslab.Server

	config, policy string // the documents
	name           string // its hostname in config; "": hostname
	offers         string
	options        lab.GatepostOptions
	journal        journal
}

// noWaits are limits under which refusals are said at once.
const noWaits = `unknown_recipient_wait = "0s"
error_wait = "0s"
`

// noGreylist is for tests that are about strangers, and not about how they are greeted.
const noGreylist = "[checks.greylist]\naction = \"off\"\n"

// markQuarantined is for tests that look at what was decided of quarantined mail by its fields, at the next hop.
const markQuarantined = "[quarantine]\naction = \"mark\"\n"

// noRates are rates under which a test may come as fast as it likes.
func noRates() string {
	var b strings.Builder
	for _, of := range [...]string{"client connections", "network connections", "wide-network connections", "client messages",
		"null-sender messages", "unknown-recipient recipients", "client-error errors"} {
		subject, unit, _ := strings.Cut(of, " ")
		fmt.Fprintf(&b, "[[rate]]\nof = %q\nunit = %q\nunknown = \"none\"\nknown = \"none\"\nbad = \"none\"\n", subject, unit)
	}
	return b.String()
}

// begin starts what the setup wants and the daemon, and stops all of it at the end of the test.
func begin(t testing.TB, s setup) *world {
	t.Helper()
	w := newWorld(t, s)
	w.start(t)
	return w
}

// Tests of the console run a browser, most of them, which needs a processor where others wait: so many at a time.
var (
	turns  = make(chan struct{}, 2)
	turnOf sync.Map // by the test's name: a test takes one, however many worlds it makes
)

// takeTurn waits until a test of the console may begin, and gives its turn back at its end.
func takeTurn(t testing.TB) {
	if _, has := turnOf.LoadOrStore(t.Name(), true); has {
		return
	}
	turns <- struct{}{}
	t.Cleanup(func() { turnOf.Delete(t.Name()); <-turns })
}

// newWorld makes all but the daemon.
func newWorld(t testing.TB, s setup) *world {
	t.Helper()
	if s.console != "" {
		takeTurn(t)
	}
	w := &world{dir: labtest.Dir(t), hops: map[string]*lab.NextHop{}, offers: s.offers, options: lab.GatepostOptions{Env: s.env, Stdout: s.stdout, Binary: s.binary}}
	if len(s.routes) == 0 {
		s.routes = []route{{name: "internal", domains: []string{"served.test"}}}
	}
	if s.dns == "" {
		w.dns = dnslab.New(t, zones)
		w.dns.SetFault("broken.test", dnslab.Fault{Kind: dnslab.ServFail})
		s.dns = w.dns.Addr()
	}
	if s.clamav == "" {
		w.clamd = labtest.FakeClamd(t, 0)
		s.clamav = w.clamd.Addr()
	}
	if s.spamd == "" {
		w.spamd = labtest.FakeSpamd(t)
		s.spamd = w.spamd.Addr()
	}
	w.config = s.bootstrapText(w.dir)
	w.policy = s.policyText(t, w)
	return w
}

// start starts the daemon with the documents.
func (w *world) start(t testing.TB) {
	t.Helper()
	t.Cleanup(func() { w.races(t) }) // behind the daemon's end
	w.options.Config, w.options.Policy = w.config, w.policy
	daemon := labtest.Gatepost(t, w.dir, w.options)
	w.changing.Lock()
	w.daemon = daemon
	w.changing.Unlock()
	w.learn(t)
}

// races shows what the race detector saw within the daemon, in whole.
func (w *world) races(t testing.TB) {
	text, err := os.ReadFile(filepath.Join(w.dir, "gatepost.log"))
	if err != nil {
		t.Error(err)
	}
	for _, report := range raceReport.FindAllString(string(text), -1) {
		t.Errorf("in the daemon: %s", report)
	}
}

var raceReport = regexp.MustCompile(`(?s)WARNING: DATA RACE.*?={18}`)

// learn waits until the daemon has asked its next hops what they carry: before, it offers little.
func (w *world) learn(t testing.TB) {
	t.Helper()
	if w.offers == "-" {
		return
	}
	if w.offers == "" {
		w.offers = "250-DSN"
	}
	for deadline := time.Now().Add(clientTime); ; time.Sleep(5 * time.Millisecond) {
		c := w.dial(t)
		said := c.say("EHLO learn.example.org")
		c.conn.Close()
		if strings.Contains(said, w.offers+"\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon offers %q and no %s", said, w.offers)
		}
	}
}

func (s *setup) bootstrapText(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = %q\nstate_dir = %q\n", hostname, lab.StateDir(dir))
	fmt.Fprintf(&b, "[[listener]]\nname = \"smtp\"\naddresses = [\"127.0.0.1:0\"]\n")
	fmt.Fprintf(&b, "[dns]\nservers = [%q]\ntimeout = %q\n[web]\nmetrics = \"127.0.0.1:0\"\nconsole = %q\n%s", s.dns, cmp.Or(s.dnsTimeout, "10s"), s.console, s.web)
	scanner := func(table, address, timeout string) {
		list := ""
		if address != "off" {
			list = `"` + strings.ReplaceAll(address, " ", `", "`) + `"`
		}
		if timeout == "" {
			timeout = "20s"
		}
		fmt.Fprintf(&b, "[%s]\naddresses = [%s]\ntimeout = %q\n", table, list, timeout)
	}
	scanner("clamav", s.clamav, s.clamavTimeout)
	scanner("spamassassin", s.spamd, s.spamdTimeout)
	if s.shutdown != "" {
		fmt.Fprintf(&b, "[shutdown]\ngrace = %q\n", s.shutdown)
	}
	if s.body != "" {
		b.WriteString("[body]\n" + s.body + "\n")
	}
	return b.String() + s.bootstrap
}

func (s *setup) policyText(t testing.TB, w *world) string {
	t.Helper()
	var b strings.Builder
	limits := s.limits
	if limits == "" {
		limits = noWaits
	}
	if !strings.Contains(limits, "message_size") {
		limits += "message_size = \"4M\"\n" // the limit of clamd is probed at each start, with a stream of that size
	}
	if !strings.Contains(s.policy, "[checks.pregreet]") {
		s.policy += "[checks.pregreet]\nwait = \"0s\"\nstress_wait = \"0s\"\n"
	}
	fmt.Fprintf(&b, "%s\n[trusted]\nnetworks = [%s]\n[limits]\n%s\n", s.top, s.trusted, limits)
	if !strings.Contains(s.policy, "[[rate]]") {
		b.WriteString(noRates())
	}
	for _, r := range s.routes {
		if r.addr == "" {
			w.hops[r.name] = labtest.NextHop(t, lab.NextHopOptions{Extensions: r.offers})
			r.addr = w.hops[r.name].Addr()
		}
		host, port, err := net.SplitHostPort(r.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "[[route]]\nname = %q\ntls = \"none\"\n%s\n[[route.next_hop]]\nhost = %q\nport = %s\n", r.name, r.lines, host, port)
		if len(r.domains) == 0 {
			r.domains = []string{r.name + ".test"}
		}
		for _, d := range r.domains {
			name, below := strings.CutPrefix(d, "*.")
			fmt.Fprintf(&b, "[[domain]]\nname = %q\nroute = %q\nsubdomains = %t\n", name, r.name, below)
		}
	}
	for check, address := range map[string]string{"clamav": s.clamav, "spamassassin": s.spamd} {
		if address == "off" {
			fmt.Fprintf(&b, "[checks.%s]\naction = \"off\"\n", check)
		}
	}
	return b.String() + s.policy
}

// addr is where the daemon listens for mail. Who looks at it all the time may ask while another is started.
func (w *world) addr() string {
	w.changing.Lock()
	defer w.changing.Unlock()
	return w.daemon.Addr("smtp")
}

// hop is the only fake next hop.
func (w *world) hop(t testing.TB) *lab.NextHop {
	t.Helper()
	if len(w.hops) != 1 {
		t.Fatalf("there are %d fake next hops", len(w.hops))
	}
	return w.hops[slices.Collect(maps.Keys(w.hops))[0]]
}
