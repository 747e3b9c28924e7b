package shaping

import (
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// cases is what a stranger meets while Redis comes and goes; docs/redis.md has the same rows. Each word of a story is
//
//	A, B      a try at that node, and what comes of it: "A first", "B passed 3m" (how long it waited); "A early 1m" (its wait)
//	C, D      likewise, of another pair of the same identity
//	5m        time goes by
//	away, back  Redis fails, and works again with all that it kept
//	lost      Redis has lost everything
//	forget, forget-all  a person at node A forgets the pair of A and B, or all of its sender's
//	look      the nodes find out, within a second, and tell Redis what it may not know
var cases = []struct {
	name  string
	nodes int
	alone string // "local" or "pass"; "": as gatepost.toml has it by default
	story string
	// stopped says that it is played with a server that hangs, too.
	stopped bool
}{
	{"Redis goes away between its first and second try", 1, "", "A first 1m away A early 1m 1m A passed 2m", true},
	{"Redis comes back between them", 1, "", "away A first 1m back A early 1m 1m A passed 2m A known", true},
	{"Redis goes and comes back between them", 1, "", "A first away 1m A early 1m back 1m A passed 2m", false},
	{"Redis loses everything between them", 1, "", "A first 1m lost A early 1m 1m A passed 2m A known", false},
	{"Redis loses everything, twice", 1, "", "A first lost 1m A early 1m lost 1m A passed 2m lost A known", false},
	{"It is new while Redis is away", 1, "", "away A first 2m A passed 2m back A known", false},
	{"It passed before, and Redis is away", 1, "", "A first 2m A passed 2m away A known 1m A known", true},
	{"It passed before, and Redis loses everything", 1, "", "A first 2m A passed 2m lost A known", false},
	{"All of its sender's mail passes, and Redis is away", 1, "", "A first C first 2m A passed 2m 1m C passed 3m A exempt away A exempt C exempt", false},
	{"All of its sender's mail passes, and Redis loses everything", 1, "", "A first C first 2m A passed 2m 1m C passed 3m lost A exempt C exempt", false},
	{"Its wait is over before Redis comes back", 1, "", "away A first 5m A passed 5m back A known", false},
	{"Its window is over while Redis is away", 1, "", "A first away 48h A first 2m A passed 2m", false},

	{"Redis goes away, and its second try is at another node", 2, "", "A first away 2m B unknown A passed 2m", true},
	{"Redis goes away, and it is too early at the node that saw it", 2, "", "A first away 1m A early 1m B unknown|early", false},
	{"Redis comes back, and its second try is at another node", 2, "", "A first away 1m back 1m B passed 2m A known", true},
	{"It is new while Redis is away, and comes again when it is back", 2, "", "away A unknown 1m B unknown back A first 2m B passed 2m", false},
	{"Redis loses everything, and its second try is at another node", 2, "", "A first 1m lost look 1m B passed 2m", false},
	{"It passed before, Redis loses everything, and it comes to another node", 2, "", "A first 2m A passed 2m lost look B known", false},
	{"All of its sender's mail passes, Redis loses everything, and it comes to another node", 2, "", "A first C first 2m A passed 2m 1m C passed 3m A exempt lost look D exempt", false},
	{"It waited at the node that saw it while Redis was away, and comes to another", 2, "", "A first away 2m A passed 2m back look B known", false},
	{"Redis loses everything in the second before its try at another node", 2, "", "A first 2m lost B first 1m A passed 3m B known", false},

	{"It is forgotten by a person, and comes to another node", 2, "", "A first 2m A passed 2m B known 1m forget B first B early 2m 2m B passed 2m A exempt", false},
	{"Its sender is forgotten by a person, and it comes to another node", 2, "", "A first C first 2m A passed 2m 1m C passed 3m B exempt 1m forget-all B first A early 2m", false},
	{"It is forgotten by a person, and another node tells Redis what it knows", 2, "", "A first 2m B passed 2m 1m forget away back look A first B early 2m", false},

	{"alone = local: Redis goes away, and its second try is at another node", 2, "local", "A first away 2m B first A passed 2m 2m B passed 2m", true},
	{"alone = local: it is new while Redis is away, and comes to another node when it is back", 2, "local", "away A first back look 2m B passed 2m", false},
	{"alone = pass: it is new while Redis is away", 1, "pass", "away A unknown A unknown back A first", false},
}

// story plays one.
type story struct {
	t     *testing.T
	r     *lab.Redis
	fails fault
	auto  bool // what becomes of who is unknown is not said
	now   time.Time
	nodes map[string]*Stores
	watch map[string]*watch
}

// fault is a way to fail that keeps what there is.
type fault struct {
	name       string
	fall, rise func(t *testing.T, r *lab.Redis)
	lose       func(t *testing.T, r *lab.Redis) // loses everything; nil: FLUSHALL
	full       bool                             // strangers can bring it about, so that who is unknown waits
	late       bool                             // what was asked meanwhile may be done when it rises: so it is counted, and nobody gets the answer
}

func faults(t *testing.T) []fault {
	other := labtest.Redis(t, lab.RedisOptions{})
	host, port, err := net.SplitHostPort(other.Addr)
	if err != nil {
		t.Fatal(err)
	}
	password := func(p string) func(t *testing.T, r *lab.Redis) {
		return func(t *testing.T, r *lab.Redis) {
			do(t, r, "ACL", "SETUSER", "gatepost", "resetpass", ">"+p)
			do(t, r, "CLIENT", "KILL", "USER", "gatepost")
		}
	}
	return []fault{
		{"another password", password("another"), password("p-of-a-test"), nil, false, false},
		{"out of memory", func(t *testing.T, r *lab.Redis) { do(t, r, "CONFIG", "SET", "maxmemory", "1") },
			func(t *testing.T, r *lab.Redis) { do(t, r, "CONFIG", "SET", "maxmemory", "0") }, nil, true, false},
		{"no scripts", func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", "-@scripting") },
			func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", "+@scripting") }, nil, false, false},
		{"forgot the scripts", func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", "-eval", "-evalsha") },
			func(t *testing.T, r *lab.Redis) {
				do(t, r, "ACL", "SETUSER", "gatepost", "+eval", "+evalsha")
				do(t, r, "SCRIPT", "FLUSH")
			}, nil, false, false},
		{"stopped", func(t *testing.T, r *lab.Redis) { must(t, r.Pause()) }, func(t *testing.T, r *lab.Redis) { must(t, r.Resume()) }, nil, false, true},
		{"a replica that takes no writes", func(t *testing.T, r *lab.Redis) {
			// It cannot follow this master, and so it keeps what it has, as one does while a failover goes on.
			do(t, other, "CONFIG", "SET", "requirepass", "unknown to the replica")
			do(t, r, "REPLICAOF", host, port)
		}, func(t *testing.T, r *lab.Redis) { do(t, r, "REPLICAOF", "NO", "ONE") }, nil, false, false},
		{"killed", nil, func(*testing.T, *lab.Redis) {}, func(t *testing.T, r *lab.Redis) {
			must(t, r.Kill())
			must(t, r.Restart(labtest.Context(t)))
		}, false, false},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *story) node(name string, o Options) {
	s.nodes[name], s.watch[name] = nodeWithin(s.t, s.r, o, s.fails.timeout()), &watch{well: s.now}
}

// timeout is that of calls: one that no call exceeds, but where all do.
func (f fault) timeout() time.Duration {
	if f.late {
		return 300 * time.Millisecond
	}
	return time.Second
}

// look is what Run does each second.
func (s *story) look() {
	for name, n := range s.nodes {
		w := s.watch[name]
		w.ask(s.t.Context(), n.shared.client)
		w.well = s.now
		if w.owed = n.repay(s.t.Context(), w.owed); !w.owed.none() {
			s.t.Errorf("node %s still owes %+v", name, w.owed)
		}
	}
}

// found waits until each node has found out that its connections were cut.
func (s *story) found() {
	for _, n := range s.nodes {
		awaitRedis(s.t, n)
	}
}

// noted makes the time of the story that at which a person forgot: a person's word has none.
func (s *story) noted() {
	for key := range strings.FieldsSeq(do(s.t, s.r, "KEYS", "gp:f*")) {
		do(s.t, s.r, "SET", key, strconv.FormatInt(s.now.UnixMilli(), 10), "KEEPTTL")
	}
}

// try tries a pair at a node.
func (s *story) try(who, want string, more []string) (read int) {
	node, pair := who, byte(1)
	switch who {
	case "C":
		node, pair = "A", 2
	case "D":
		node, pair = "B", 3
	}
	k := greylist.Key{Tag: greylist.Tag{1}, Pair: [9]byte{pair}}
	a, err := s.nodes[node].Greylist().Try(s.t.Context(), k, greylist.Settings{}, s.now)
	got := a.Outcome.String()
	ok := slices.Contains(strings.Split(want, "|"), got)
	if s.fails.full && strings.HasPrefix(want, "unknown") && s.auto {
		want = "first"
	}
	if (s.fails.late || s.fails.full && s.auto) && got != "unknown" && want != "unknown" {
		ok = a.Hold() == (want == "first" || want == "early") // a try that was asked before may be known
	}
	if !ok || (err != nil) != (got == "unknown") {
		s.t.Errorf("at %v: %s %+v, %v, want %s", s.now, who, a, err, want)
	}
	if want != "early" && want != "passed" {
		return 0
	}
	if s.fails.late || s.fails.full {
		return 1
	}
	d, err := time.ParseDuration(more[0])
	must(s.t, err)
	if off := a.Wait + a.Waited - d; off.Abs() > time.Second { // what a node told Redis counts by the second
		s.t.Errorf("at %v: %s %+v, want %v", s.now, who, a, d)
	}
	return 1
}

func (s *story) play(text string) {
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		switch w := words[i]; w {
		case "A", "B", "C", "D":
			i++
			i += s.try(w, words[i], words[i+1:])
		case "away":
			s.fails.fall(s.t, s.r)
		case "back":
			s.fails.rise(s.t, s.r)
			s.found()
		case "lost":
			if s.fails.lose == nil {
				do(s.t, s.r, "FLUSHALL")
				continue
			}
			s.fails.lose(s.t, s.r)
			s.found()
		case "forget":
			known, err := s.nodes["A"].Greylist().Forget(s.t.Context(), greylist.Key{Tag: greylist.Tag{1}, Pair: [9]byte{1}})
			if !known || err != nil {
				s.t.Errorf("forgotten: %v, %v", known, err)
			}
			s.noted()
		case "forget-all":
			if n, err := s.nodes["A"].Greylist().ForgetIdentity(s.t.Context(), greylist.Tag{1}); n != 3 || err != nil {
				s.t.Errorf("forgotten: %d, %v", n, err)
			}
			s.noted()
		case "look":
			s.look()
		default:
			d, err := time.ParseDuration(w)
			must(s.t, err)
			s.now = s.now.Add(d)
		}
	}
}

// length is how long a story takes.
func length(text string) (sum time.Duration) {
	words := strings.Fields(text)
	for i, w := range words {
		if d, err := time.ParseDuration(w); err == nil && (i == 0 || words[i-1] != "early" && words[i-1] != "passed") {
			sum += d
		}
	}
	return sum
}

// TestCases plays each story with Redis away in each way.
func TestCases(t *testing.T) {
	for _, f := range faults(t) {
		t.Run(f.name, func(t *testing.T) {
			r := server(t)
			for _, c := range cases {
				switch {
				case f.lose != nil && (!strings.Contains(c.story, "lost") || strings.Contains(c.story, "away")):
					continue // it keeps nothing
				case f.late && !c.stopped:
					continue // each costs a call's time
				case f.lose == nil && f.name != "another password" && !strings.Contains(c.story, "away"):
					continue // it has nothing to do with this story
				}
				t.Run(c.name, func(t *testing.T) {
					f.rise(t, r)
					do(t, r, "FLUSHALL")
					s := &story{t: t, r: r, fails: f, nodes: map[string]*Stores{}, watch: map[string]*watch{}}
					s.auto = c.alone == ""
					s.now = time.Now().Add(-length(c.story)).Truncate(time.Millisecond) // it ends now
					o := Options{Nodes: c.nodes, Pass: c.alone == "pass" || c.alone == "" && c.nodes > 1, PassFull: c.alone == "pass"}
					s.node("A", o)
					if c.nodes > 1 {
						s.node("B", o)
					}
					s.look()
					s.play(c.story)
				})
			}
			f.rise(t, r)
		})
	}
}

// TestCasesTold shows that docs/redis.md has the rows of cases, and no others.
func TestCasesTold(t *testing.T) {
	text, err := os.ReadFile("../../docs/redis.md")
	must(t, err)
	_, table, _ := strings.Cut(string(text), "| A stranger's story |")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Count(table, "\n") - 1
	for _, c := range cases {
		if !strings.Contains(table, "\n| "+c.name+" |") {
			t.Errorf("docs/redis.md does not tell of %q", c.name)
		}
	}
	if rows != len(cases) {
		t.Errorf("docs/redis.md has %d rows, of %d stories", rows, len(cases))
	}
}
