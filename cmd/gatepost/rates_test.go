package main

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/config"
	"gatepost/internal/limit"
)

// TestRateWords shows that each subject and unit that a policy can name is one that is counted, and each that has a limit by
// default can be named.
func TestRateWords(t *testing.T) {
	subjects, units := rateSubjects(), rateUnits()
	for name, d := range subjects {
		if d.String() != name || name == "?" {
			t.Errorf("%s is %s", name, d)
		}
	}
	for _, row := range limit.Defaults() {
		unit := row.Unit.String()
		if row.Unit == limit.KiB {
			unit = "octets"
		}
		if _, ok := subjects[row.Dimension.String()]; !ok || units[unit] != row.Unit {
			t.Errorf("%s of %s cannot be named", unit, row.Dimension)
		}
		r := config.Rate{Of: row.Dimension.String(), Unit: unit}
		r.Validate(func(key, message, _ string) { t.Errorf("%s of %s: %s %s", unit, row.Dimension, key, message) })
	}
}

// TestMakeRates shows what a policy lays over the default limits.
func TestMakeRates(t *testing.T) {
	yes, no := true, false
	if got := makeRates(nil); !reflect.DeepEqual(got, limit.Defaults()) {
		t.Errorf("nothing written: %+v", got)
	}
	got := makeRates([]config.Rate{
		{Of: "client", Unit: "connections", Unknown: config.RatePer{N: 60, Period: time.Minute}, Bad: config.RatePer{None: true}},
		{Of: "client", Unit: "octets", Known: config.RatePer{N: 3<<30 + 1, Sized: true, Period: time.Hour}, Observe: &no},
		{Of: "network", Unit: "messages", Unknown: config.RatePer{N: 7, Period: time.Second}},
		{Of: "client", Unit: "messages", Observe: &yes},
	})
	if len(got) != len(limit.Defaults())+1 {
		t.Errorf("%d rows", len(got))
	}
	for _, want := range []limit.Limit{
		{Dimension: limit.Client, Unit: limit.Connections, Rates: [3]limit.Rate{limit.Per(60, time.Minute), limit.Per(300, time.Minute), {}}},
		{Dimension: limit.Client, Unit: limit.KiB, Rates: [3]limit.Rate{limit.Per(1<<20, time.Hour), limit.Per(3<<20+1, time.Hour), limit.Per(1<<18, time.Hour)}},
		{Dimension: limit.Network, Unit: limit.Messages, Rates: [3]limit.Rate{limit.Per(7, time.Second), {}, {}}},
		{Dimension: limit.Client, Unit: limit.Messages, Rates: [3]limit.Rate{limit.Per(20, time.Minute), limit.Per(120, time.Minute), limit.Per(4, time.Minute)}, Observed: true},
	} {
		if row := got.Of(want.Dimension, want.Unit); row == nil || !reflect.DeepEqual(*row, want) {
			t.Errorf("%s of %s: %+v, want %+v", want.Unit, want.Dimension, row, want)
		}
	}
}

// TestGuard shows whom the first line turns away and under which policies it turns nobody away.
func TestGuard(t *testing.T) {
	stranger, friend := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	const three = "[[rate]]\nof = \"network\"\nunit = \"connections\"\nunknown = \"1/1h\"\nknown = \"1/1h\"\nbad = \"1/1h\"\n"
	const allow = "[[checks.access.client.entry]]\nnetwork = \"198.51.100.0/24\"\nlist = \"allow\"\n"
	p := newTestParts(t)
	for name, c := range map[string]struct {
		policy string
		over   bool
	}{
		"enforced":          {three, true},
		"observed":          {three + "observe = true\n[[rate]]\nof = \"wide-network\"\nunit = \"connections\"\nobserve = true\n", false},
		"soft":              {"mode = \"soft\"\n" + three, false},
		"the check is off":  {three + "[checks.rate.connections]\naction = \"off\"\n", false},
		"it only defers":    {three + "[checks.rate.connections]\naction = \"defer\"\n", false},
		"no limit for some": {three[:len(three)-len("bad = \"1/1h\"\n")] + "bad = \"none\"\n[[rate]]\nof = \"wide-network\"\nunit = \"connections\"\nbad = \"none\"\n", false},
	} {
		b := assembled(t, p, c.policy+allow)
		p.fronts = fronts{}
		b.guard = makeGuard(&p.fronts, b.rates, b.snapshot.Policy, b.checks)
		var args []string
		over := false
		for range 10 { // three and one pass; see limit.NewFront
			if args, over = b.guard.over(stranger); over {
				break
			}
		}
		if over != c.over || over && !reflect.DeepEqual(args, []string{"from your network 192.0.2.0/26", "3 per hour", "3600 seconds"}) {
			t.Errorf("%s: %v %q", name, over, args)
		}
		for range 10 {
			if _, over := b.guard.over(friend); over {
				t.Errorf("%s: an allowed client is turned away", name)
			}
		}
	}
}

// TestGuardLasts shows that a reload gives nobody a new start, unless its rate is another.
func TestGuardLasts(t *testing.T) {
	var f fronts
	a := f.of(limit.Per(3, time.Hour))
	if f.of(limit.Per(3, time.Hour)) != a {
		t.Error("the same rate begins anew")
	}
	if f.of(limit.Per(4, time.Hour)) == a {
		t.Error("another rate is not in force")
	}
}

// configuredPolicy is a policy document that was read, and the snapshot that was made of it.
type configuredPolicy struct {
	*built
	checks map[string]filters.Configured
}

func newTestParts(t *testing.T) *parts {
	t.Helper()
	c, problems := config.Load(documents(t, "", servesOne), sections())
	if problems.Refused() {
		t.Fatal(problems)
	}
	p, err := newParts(c.Bootstrap, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func assembled(t *testing.T, p *parts, policy string) configuredPolicy {
	t.Helper()
	c, problems := config.Load(documents(t, "[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n",
		policy+servesOne+"[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n"), sections())
	if problems.Refused() {
		t.Fatal(problems)
	}
	b, err := assemble(c, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	if b.snapshot.Policy.Checks["rate.connections"].Class != gateway.ClassLimiting {
		t.Error("a limit is no limit")
	}
	return configuredPolicy{b, configured(c.Policy.Checks)}
}

// TestEachRateLimits shows that each rate that the configuration takes is one that can be counted: none limits nothing by
// mistake.
func TestEachRateLimits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	taken, refused := 0, 0
	for range 100_000 {
		n := int64(1) << r.IntN(62)
		n += r.Int64N(n)
		text := strconv.FormatInt(n, 10) + "/" + []string{"1s", "7s", "1m", "1h", "23h", "1d"}[r.IntN(6)]
		rate := config.Rate{Of: "client", Unit: "messages"}
		if r.IntN(2) == 0 {
			rate.Unit, text = "octets", config.Size(n|1<<10&^1023).String()+text[strings.IndexByte(text, '/'):]
		}
		if rate.Unknown.UnmarshalText([]byte(text)) != nil {
			continue
		}
		bad := false
		rate.Validate(func(string, string, string) { bad = true })
		if bad {
			refused++
			continue
		}
		taken++
		if !layRate(limit.Rate{}, rate.Unknown).Valid() {
			t.Fatalf("%s of %s limits nothing", text, rate.Unit)
		}
	}
	if taken < 1000 || refused < 1000 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
}
