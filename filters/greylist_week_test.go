package filters

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sortOf is a sort of senders in a week of mail.
type sortOf struct {
	name    string
	clients []string // each try comes from the next
	helo    string
	from    string          // %s is one of five senders, or of bots a new one each time
	mails   int             // in the week
	retries []time.Duration // after the first try
	spared  bool            // none of its mail is held
	passes  bool            // all of its mail passes in the end; else none
	most    time.Duration   // of delay
	held    int             // at most so many of its mails
}

// weekOf are the sorts, and the names that DNS has of them.
func weekOf() (sorts []sortOf, zone string) {
	server := []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour}
	bots := func(n int, name string) (list []string) {
		for i := range n {
			a := fmt.Sprintf("45.%d.%d.%d", i%7, i%250, 1+i%200)
			list = append(list, a)
			if name != "" {
				host := strings.ReplaceAll(a, ".", "-") + name
				o := strings.Split(a, ".")
				zone += fmt.Sprintf("%s.%s.%s.%s.in-addr.arpa PTR %s\n%s A %s\n", o[3], o[2], o[1], o[0], host, host, a)
			}
		}
		return list
	}
	zone = `
1.2.0.192.in-addr.arpa PTR mx.firm.example
mx.firm.example A 192.0.2.1
firm.example A 192.0.2.1
firm.example TXT v=spf1 ip4:192.0.2.1 -all
2.2.0.192.in-addr.arpa PTR mail.small.example
mail.small.example A 192.0.2.2
small.example A 192.0.2.2
bare.example A 192.0.2.77
pool.test A 198.51.100.1
pool.test TXT v=spf1 include:a.pool.test include:b.pool.test -all
a.pool.test TXT v=spf1 ip4:198.51.100.0/24 -all
b.pool.test TXT v=spf1 ip4:203.0.113.0/24 -all
spam.example A 192.0.2.78
`
	return []sortOf{
		{name: "a server with SPF and a name", clients: []string{"192.0.2.1"}, helo: "mx.firm.example", from: "%s@firm.example", mails: 400, spared: true, passes: true},
		{name: "a small firm's without SPF", clients: []string{"192.0.2.2"}, helo: "mail.small.example", from: "%s@small.example", mails: 200, spared: true, passes: true},
		{name: "one without a name and SPF", clients: []string{"198.18.0.9"}, helo: "exchange", from: "%s@bare.example", mails: 200, retries: server, passes: true, most: 6 * time.Minute, held: 3},
		{name: "a nameless pool with SPF in two networks", clients: []string{"198.51.100.1", "203.0.113.1", "198.51.100.9", "203.0.113.77"}, helo: "pool", from: "%s@pool.test",
			mails: 200, retries: server, passes: true, most: 6 * time.Minute, held: 3},
		{name: "bots on lines, once", clients: bots(500, ".dyn.isp.example"), helo: "localhost", from: "%s@spam.example", mails: 500, held: 500},
		{name: "bots without a name, that knock for a minute", clients: []string{"46.0.0.1", "46.0.1.1", "46.0.2.1"}, helo: "ylmf-pc", from: "%s@spam.example", mails: 300,
			retries: []time.Duration{2 * time.Second, 10 * time.Second, time.Minute}, held: 300},
		// Greylisting alone does not hold these: the price of a list that is two minutes behind.
		{name: "bots that are patient", clients: []string{"47.0.0.1"}, helo: "ylmf-pc", from: "%s@spam.example", mails: 50, retries: server, passes: true, most: 6 * time.Minute, held: 3},
	}, zone
}

// letters are a name for a number: of letters, since numbers are one to the greylist.
func letters(n int) string {
	name := "u"
	for ; n > 0; n /= 16 {
		name += string(rune('g' + n%16))
	}
	return name
}

// TestGreylistWeek is a week of mail through the wired checks under default settings: who looks like a server is never held,
// whoever does not and tries again is held for its first few mails, and bots that never wait bring nothing.
func TestGreylistWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sorts, zone := weekOf()
		d := &Deps{Resolver: newDistant(zone)}
		pl := build(t, rcptOff, d)
		type try struct {
			at    time.Time
			sort  int
			mail  int
			tries int
			first time.Time
		}
		var queue []try
		random := rand.New(rand.NewPCG(7, 8))
		for i, s := range sorts {
			for n := range s.mails {
				at := time.Now().Add(time.Duration(random.Int64N(int64(7 * 24 * time.Hour))))
				queue = append(queue, try{at: at, sort: i, mail: n, first: at})
			}
		}
		held, came, delay := make([]int, len(sorts)), make([]int, len(sorts)), make([]time.Duration, len(sorts))
		for len(queue) > 0 {
			slices.SortFunc(queue, func(a, b try) int { return b.at.Compare(a.at) })
			x := queue[len(queue)-1]
			queue = queue[:len(queue)-1]
			time.Sleep(time.Until(x.at))
			s := &sorts[x.sort]
			who := x.mail
			if s.passes {
				who %= 5
			}
			v := visit{client: s.clients[(x.mail+x.tries)%len(s.clients)], helo: s.helo, from: "<" + fmt.Sprintf(s.from, letters(who)) + ">",
				to: []string{fmt.Sprintf("r%d@served.example", x.mail%40)}}
			_, reply, _ := v.arrive(t, d, pl, "greylist")
			switch {
			case reply.Code == 250:
				came[x.sort]++
				delay[x.sort] = max(delay[x.sort], time.Since(x.first))
				continue
			case reply.Code != 451:
				t.Fatalf("%s: %s", s.name, reply)
			case x.tries == 0:
				held[x.sort]++
			}
			if x.tries < len(s.retries) {
				x.at = x.first.Add(s.retries[x.tries])
				x.tries++
				queue = append(queue, x)
			}
		}
		for i, s := range sorts {
			t.Logf("%-48s %3d mails, %3d held, %3d came, at most %v late", s.name, s.mails, held[i], came[i], delay[i].Round(time.Second))
			if s.spared && held[i] > 0 || held[i] > s.held && !s.spared {
				t.Errorf("%s: %d held", s.name, held[i])
			}
			if want := map[bool]int{true: s.mails}[s.passes]; came[i] != want {
				t.Errorf("%s: %d of %d came, want %d", s.name, came[i], s.mails, want)
			}
			if s.most > 0 && delay[i] > s.most {
				t.Errorf("%s: one came after %v", s.name, delay[i])
			}
		}
	})
}
