package cutover

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func planned(t *testing.T, f Facts) (all string, steps []Step) {
	t.Helper()
	f.Domain, f.Hostname, f.Start = "example.org", "mx.example.org", time.Date(2027, 1, 10, 15, 0, 0, 0, time.UTC)
	steps = Plan(f)
	for i, s := range steps {
		if i > 0 && s.Day.Before(steps[i-1].Day) {
			t.Errorf("step %d is of %s, behind %s", i, s.Day, steps[i-1].Day)
		}
		if s.What == "" || s.Why == "" || s.Day != s.Day.Truncate(24*time.Hour) {
			t.Errorf("step %d: %+v", i, s)
		}
		all += s.Day.Format(time.DateOnly) + " " + s.What + "\n" + strings.Join(s.Do, "\n") + "\n"
	}
	return all, steps
}

var old = []MX{{"old.example.org", 10}, {"backup.example.net.", 20}}

func TestPlan(t *testing.T) {
	for name, tt := range map[string]struct {
		facts     Facts
		has, lack []string
	}{
		"two exchangers": {Facts{MX: old, TTL: time.Hour, SPF: "v=spf1 ip4:192.0.2.7 -all", Old: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")}},
			[]string{"2027-01-08 lower the TTL", "example.org. 300 IN MX 10 old.example.org.\nexample.org. 300 IN MX 20 backup.example.net.", "2027-01-10 become a second", "example.org. 300 IN MX 30 mx.example.org.",
				"2027-01-17 become the first MX\nexample.org. 300 IN MX 5 mx.example.org.", `networks = ["192.0.2.25/32", "2001:db8::25/128"]`, `until = "2027-02-07"`, "leave the SPF record", "remove: example.org. MX 20 backup.example.net."},
			[]string{"take mx out", "MTA-STS"}},
		"long TTL":       {Facts{MX: old, TTL: 73 * time.Hour}, []string{"2027-01-06 lower the TTL"}, []string{"SPF"}},
		"SPF names mx":   {Facts{MX: old, SPF: "v=spf1 A:x.example ?mx/24 -all", Old: []netip.Addr{netip.MustParseAddr("192.0.2.25")}}, []string{"2027-01-08 take mx out", "ip4:192.0.2.25 in place of ?mx/24"}, []string{"leave the SPF"}},
		"SPF is not mx":  {Facts{MX: old, SPF: "v=spf1 include:mx.example.com exists:mx -all"}, []string{"leave the SPF record"}, []string{"take mx out"}},
		"MTA-STS":        {Facts{MX: old, STS: true}, []string{"mx: mx.example.org    in https://mta-sts.example.org/"}, nil},
		"no MX":          {Facts{}, []string{"has no MX", "ADDRESS OF THE OLD GATEWAY"}, nil},
		"second already": {Facts{MX: append([]MX{{"mx.example.org", 50}}, old...)}, []string{"become the first MX"}, []string{"become a second"}},
		"first already":  {Facts{MX: []MX{{"MX.example.org.", 5}, {"old.example.org", 10}}}, []string{"it is the first MX already"}, []string{"become a second"}},
		"no room below":  {Facts{MX: []MX{{"old.example.org", 0}}}, []string{"MX 0 mx.example.org.\nexample.org. 300 IN MX 10 old.example.org."}, nil},
		"no room above":  {Facts{MX: []MX{{"old.example.org", 65535}}}, []string{"MX 65535 mx.example.org."}, nil},
	} {
		all, _ := planned(t, tt.facts)
		for _, want := range tt.has {
			if !strings.Contains(all, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, all)
			}
		}
		for _, not := range tt.lack {
			if strings.Contains(all, not) {
				t.Errorf("%s: %q is in\n%s", name, not, all)
			}
		}
	}
}
