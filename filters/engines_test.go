package filters

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/addrpool"
	"gatepost/internal/clamd"
	"gatepost/internal/hook"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/milter"
)

// Several clamd are several opinions: each must find nothing, and what one could not tell is hidden by none of the others.
func TestClamAVEngines(t *testing.T) {
	sign := func(name string) lab.Action { return lab.Raw("stream: " + name + " FOUND\x00") }
	clean, official, unofficial := lab.Raw("stream: OK\x00"), sign("Win.Trojan.Agent-1"), sign("Some.List-7.UNOFFICIAL")
	for name, c := range map[string]struct {
		first, second lab.Action
		optional      bool
		policy        string
		result        gateway.Result
		reason        gateway.Reason
		outcome       gateway.Outcome
		mark          string
	}{
		"both clean":              {clean, clean, false, "", gateway.Pass, "", gateway.Accept, ""},
		"the second finds":        {clean, official, false, "", gateway.Fail, gateway.MalwareFound, gateway.Reject, ""},
		"the first finds":         {official, clean, false, "", gateway.Fail, gateway.MalwareFound, gateway.Reject, ""},
		"the second doubts":       {clean, unofficial, false, "", gateway.Fail, gateway.MalwareDoubtful, gateway.Quarantine, ""},
		"one doubts, one finds":   {unofficial, official, false, "", gateway.Fail, gateway.MalwareFound, gateway.Reject, ""},
		"by the second's pattern": {clean, unofficial, false, "[checks.clamav]\nrefuse = [\"Some.*\"]\n", gateway.Fail, gateway.MalwareDoubtful, gateway.Reject, ""},
		"the second is away":      {clean, lab.Gone(), false, "", gateway.Unknown, gateway.ScannerFailed, gateway.Defer, ""},
		"the first is away":       {lab.Gone(), clean, true, "", gateway.Unknown, gateway.ScannerFailed, gateway.Defer, ""},
		"away, and found":         {lab.Gone(), official, false, "", gateway.Fail, gateway.MalwareFound, gateway.Reject, ""},
		"away, and doubted":       {lab.Gone(), unofficial, false, "", gateway.Unknown, gateway.ScannerFailed, gateway.Defer, ""},
		"optional, away":          {clean, lab.Gone(), true, "", gateway.Unknown, gateway.ScannerPartly, gateway.Tag, "clamav"},
		"optional, by policy":     {clean, lab.Gone(), true, "[checks.clamav.reasons]\n\"scanner.partly\" = \"score\"\n", gateway.Unknown, gateway.ScannerPartly, gateway.Accept, "clamav"},
		"optional, and doubted":   {unofficial, lab.Gone(), true, "", gateway.Fail, gateway.MalwareDoubtful, gateway.Quarantine, ""},
		"optional, finds":         {clean, official, true, "", gateway.Fail, gateway.MalwareFound, gateway.Reject, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := labtest.FakeClamd(t, 0), labtest.FakeClamd(t, 0)
			first.On("INSTREAM", c.first)
			second.On("INSTREAM", c.second)
			d := &Deps{ClamAV: clamAVAt(t, first.Addr(), 0, 10*time.Second),
				ClamAVs: []Instance[*clamd.Client]{{Name: "unofficial", Optional: c.optional, Servers: clamAVAt(t, second.Addr(), 0, 10*time.Second)}}}
			pl := build(t, spamOff+c.policy, d)
			v, f := judge(t, d, pl, dataOf(t, with("")), "clamav")
			if f.Result != c.result || f.Reason != c.reason || v.Outcome != c.outcome || strings.Join(v.Marks, " ") != c.mark {
				t.Errorf("%s %s, %s, marks %v, %v", f.Result, f.Reason, v.Outcome, v.Marks, f.Evidence)
			}
			if c.result == gateway.Pass && (evidence(f, "clamav: verdict") != "clean" || evidence(f, "unofficial: verdict") != "clean") {
				t.Errorf("the trace shows %v", f.Evidence)
			}
		})
	}
}

// milterSays is a milter that goes on until the end of the message, and says its word then.
func milterSays(t testing.TB, word string) string {
	t.Helper()
	return labtest.Server(t, func(c net.Conn) {
		for {
			var head [5]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:])-1)); err != nil {
				return
			}
			answer := "\x00\x00\x00\x01c"
			switch head[4] {
			case 'D':
				continue
			case 'O':
				answer = "\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00"
			case 'E':
				answer = word
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

func milterSaid(command byte, data string) string {
	return string(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), command)) + data
}

func milterAt(t testing.TB, name, address string, optional bool) Instance[*milter.Client] {
	t.Helper()
	p, err := addrpool.New(addrpool.Config[*milter.Client]{Addresses: []string{address}, TripAfter: 1000, Repeatable: milter.Repeatable, Blames: milter.Blames,
		Open: func(a string) (*milter.Client, error) {
			return milter.New(milter.Config{Address: a, Timeout: 10 * time.Second})
		}})
	if err != nil {
		t.Fatal(err)
	}
	return Instance[*milter.Client]{Name: name, Optional: optional, Servers: p}
}

func TestMilters(t *testing.T) {
	fine, no := milterSaid('c', ""), milterSaid('y', "554 5.7.9 Not this\x00")
	for name, c := range map[string]struct {
		first, second string // what each says at the end
		optional      bool   // the second
		policy        string
		reason        gateway.Reason
		reply         string
		outcome       gateway.Outcome
	}{
		"both accept":         {fine, milterSaid('a', ""), false, "", "", "", gateway.Accept},
		"one refuses":         {fine, no, false, "", gateway.MilterRefused, "554 5.7.9 Not this", gateway.Reject},
		"without words":       {milterSaid('r', ""), fine, false, "", gateway.MilterRefused, "550 5.7.1 Refused by a filter of this site", gateway.Reject},
		"for now":             {milterSaid('t', ""), fine, false, "", gateway.MilterDeferred, "451 4.7.1 Refused by a filter of this site", gateway.Defer},
		"for now, and no":     {milterSaid('t', ""), no, false, "", gateway.MilterRefused, "554 5.7.9 Not this", gateway.Reject},
		"kept":                {milterSaid('q', "look\x00") + fine, fine, false, "", gateway.MilterKept, "", gateway.Quarantine},
		"vanish":              {milterSaid('d', ""), fine, false, "", gateway.MilterKept, "", gateway.Quarantine},
		"only watched":        {no, fine, false, "action = \"observe\"\n", gateway.MilterRefused, "", gateway.Accept},
		"tagged by policy":    {no, fine, false, "action = \"tag\"\n", gateway.MilterRefused, "", gateway.Tag},
		"garbage":             {fine, "HTTP/1.1 200 OK\r\n\r\n", false, "", gateway.ScannerFailed, "", gateway.Defer},
		"garbage, optional":   {fine, "HTTP/1.1 200 OK\r\n\r\n", true, "", gateway.ScannerPartly, "", gateway.Tag},
		"garbage, and kept":   {"HTTP/1.1 200 OK\r\n\r\n", milterSaid('d', ""), false, "", gateway.ScannerFailed, "", gateway.Defer},
		"garbage, and no":     {"HTTP/1.1 200 OK\r\n\r\n", no, false, "", gateway.MilterRefused, "554 5.7.9 Not this", gateway.Reject},
		"failure by policy":   {fine, "", false, "unknown = \"tag\"\n", gateway.ScannerFailed, "", gateway.Tag},
		"would change things": {milterSaid('h', "X\x00y\x00") + fine, fine, false, "", "", "", gateway.Accept},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &Deps{}
			if c.second == "" {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				l.Close()
				d.Milters = append(d.Milters, milterAt(t, "two", l.Addr().String(), false))
			} else {
				d.Milters = append(d.Milters, milterAt(t, "two", milterSays(t, c.second), c.optional))
			}
			d.Milters = append(d.Milters, milterAt(t, "one", milterSays(t, c.first), false))
			pl := build(t, clamOff+spamOff+"[checks.milter]\n"+c.policy, d)
			v, f := judge(t, d, pl, dataOf(t, with("")), "milter")
			if f.Reason != c.reason || v.Outcome != c.outcome || c.reply != "" && !strings.HasPrefix(v.Reply.String(), c.reply) {
				t.Errorf("%s %s, %s %q, %v", f.Result, f.Reason, v.Outcome, v.Reply, f.Evidence)
			}
			if f.Result == gateway.Fail && len(f.Measures) == 0 {
				t.Error("no measure names the milter")
			}
			if name == "would change things" && evidence(f, "one: would change") != "add header X" {
				t.Errorf("the trace shows %v", f.Evidence)
			}
		})
	}
}

// hookAt is a hook that answers each document with the text, and keeps the last document.
func hookAt(t testing.TB, name, answer, send string, optional bool) (Hook, func() hook.Document) {
	t.Helper()
	var mu sync.Mutex
	var last hook.Document
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		last = hook.Document{}
		_ = json.NewDecoder(r.Body).Decode(&last)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	p, err := addrpool.New(addrpool.Config[*hook.Client]{Addresses: []string{s.URL + "/"}, TripAfter: 1000, Repeatable: hook.Repeatable, Blames: hook.Blames,
		Open: func(u string) (*hook.Client, error) { return hook.New(hook.Config{URL: u}) }})
	if err != nil {
		t.Fatal(err)
	}
	return Hook{Instance: Instance[*hook.Client]{Name: name, Optional: optional, Servers: p}, Send: send, Most: 100}, func() hook.Document {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

func TestHooks(t *testing.T) {
	const pass, fail = `{"result":"pass"}`, `{"result":"fail","text":"not for us","hint":"reject"}`
	for name, c := range map[string]struct {
		first, second string
		optional      bool
		policy        string
		reason        gateway.Reason
		score         float64
		outcome       gateway.Outcome
	}{
		"both pass":             {pass, pass, false, "", "", 0, gateway.Accept},
		"points":                {`{"result":"pass","score":3}`, `{"result":"pass","score":2.5}`, false, "", "", 5.5, gateway.Tag},
		"ham":                   {`{"result":"pass","score":-3}`, pass, false, "", "", -3, gateway.Accept},
		"no price":              {`{"result":"pass","score":30}`, pass, false, "[checks.hook.prices]\nscore = 0.0\n", "", 0, gateway.Accept},
		"fails":                 {pass, fail, false, "", gateway.HookRefused, 0, gateway.Quarantine},
		"fails, hints":          {pass, fail, false, "[checks.hook]\nhints = true\n", gateway.HookRefused, 0, gateway.Reject},
		"a milder hint":         {`{"result":"fail","hint":"score","score":1}`, pass, false, "[checks.hook]\nhints = true\n", gateway.HookRefused, 1, gateway.Accept},
		"two hints":             {`{"result":"fail","hint":"tag"}`, `{"result":"fail","hint":"defer"}`, false, "[checks.hook]\nhints = true\n", gateway.HookRefused, 0, gateway.Defer},
		"a name is no hint":     {`{"result":"fail"}`, pass, false, "[checks.hook]\nhints = true\naction = \"tag\"\n", gateway.HookRefused, 0, gateway.Tag},
		"cannot tell":           {`{"result":"unknown"}`, pass, false, "", gateway.ScannerFailed, 0, gateway.Tag},
		"garbage":               {pass, "no", false, "[checks.hook]\nunknown = \"defer\"\n", gateway.ScannerFailed, 0, gateway.Defer},
		"garbage, optional":     {pass, "no", true, "[checks.hook]\nunknown = \"defer\"\n", gateway.ScannerPartly, 0, gateway.Tag},
		"fails beside unknown":  {fail, "no", false, "", gateway.HookRefused, 0, gateway.Quarantine},
		"hint without a result": {`{"hint":"reject"}`, pass, false, "[checks.hook]\nhints = true\n", gateway.ScannerFailed, 0, gateway.Tag},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, _ := hookAt(t, "reject", c.first, HookEnvelope, false)
			two, _ := hookAt(t, "two", c.second, HookEnvelope, c.optional)
			d := &Deps{Hooks: []Hook{one, two}}
			pl := build(t, clamOff+spamOff+c.policy, d)
			v, f := judge(t, d, pl, dataOf(t, with("")), "hook")
			if f.Reason != c.reason || v.Outcome != c.outcome || fmt.Sprintf("%.2f", v.Score) != fmt.Sprintf("%.2f", c.score) {
				t.Errorf("%s %s, %s, %v points, %v", f.Result, f.Reason, v.Outcome, v.Score, f.Evidence)
			}
		})
	}
}

// A hook is told what it may know, and no more.
func TestHookIsTold(t *testing.T) {
	for _, send := range []string{HookEnvelope, HookHeaders, HookMessage} {
		h, last := hookAt(t, "one", `{"result":"pass"}`, send, false)
		d := &Deps{Hooks: []Hook{h}}
		pl := build(t, clamOff+spamOff, d)
		text := mixed("a long text, in which there is more than a hook is to be shown of a message", "a file")
		judge(t, d, pl, dataOf(t, text), "hook")
		got := last()
		if got.From != "a@b.example" || got.Client.Address != "192.0.2.1" || got.Client.Helo != "good.example" || len(got.To) != 1 || got.Size != int64(len(text)) || len(got.Findings) == 0 {
			t.Errorf("%s: %+v", send, got)
		}
		headers, whole := send != HookEnvelope, send == HookMessage
		if (len(got.Header) > 0) != headers || (len(got.Parts) == 2 && got.Parts[0].Type == "text/plain" && got.Parts[0].SHA256 == "" && len(got.Parts[1].SHA256) == 64) != headers {
			t.Errorf("%s: header %v, parts %v", send, got.Header, got.Parts)
		}
		if whole && (string(got.Message) != text[:100] || !got.Cut) || !whole && (got.Message != nil || got.Cut) {
			t.Errorf("%s: message %q, cut %v", send, got.Message, got.Cut)
		}
	}
}

// An engine that panics could not tell, and the others are heard.
func TestInstancePanics(t *testing.T) {
	all := askEach([]Instance[int]{{Name: "a"}, {Name: "b"}, {Name: "c"}}, func(i *Instance[int]) gateway.Finding {
		if i.Name != "b" {
			panic("fault")
		}
		return gateway.Passed()
	})
	if f := worstOf(all); f.Result != gateway.Unknown || f.Reason != gateway.CheckPanicked || evidence(f, "a: panic") != "fault" {
		t.Errorf("%+v", f)
	}
}
