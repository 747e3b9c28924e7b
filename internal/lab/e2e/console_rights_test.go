package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab/dnslab"
)

// roleLetters are the roles, as the table of rights names them.
var roleLetters = map[byte]string{'o': "owner", 'p': "operator", 'd': "domain-admin", 'q': "quarantine-manager", 'h': "help-desk", 'a': "auditor"}

// rights is the table of testdata/console-rights.txt.
type rights struct {
	roles    map[string]string // letters, by right
	byDomain map[string]bool
	api      map[string]string // right, by "GET /path" and "CHANGE /path"
	pages    map[string]string
	aliens   map[string]string
}

func readRights(t *testing.T) *rights {
	t.Helper()
	text, err := os.ReadFile("testdata/console-rights.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := &rights{map[string]string{}, map[string]bool{}, map[string]string{}, map[string]string{}, map[string]string{}}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "#":
		case f[0] == "right" && (len(f) == 3 || len(f) == 5):
			out.roles[f[1]], out.byDomain[f[1]] = f[2], len(f) == 5
		case f[0] == "api" && len(f) == 4:
			out.api[f[1]+" "+f[2]] = f[3]
		case f[0] == "page" && len(f) == 3:
			out.pages[f[1]] = f[2]
		case f[0] == "alien" && len(f) <= 3:
			out.aliens[f[1]] = "users.read"
			if len(f) == 3 {
				out.aliens[f[1]] = f[2]
			}
		case !strings.HasPrefix(f[0], "#"):
			t.Fatalf("line %q", line)
		}
	}
	return out
}

// longest is the right of the longest path of a table that what is asked for begins with, whole segments counting.
func longest(table map[string]string, what string) string {
	best, right := -1, ""
	for path, r := range table {
		if (what == path || path != "/" && strings.HasPrefix(what, path+"/")) && len(path) > best {
			best, right = len(path), r
		}
	}
	return right
}

// may is whether the table lets somebody with a role do what needs a right.
func (r *rights) may(role byte, bounded bool, right string) bool {
	return strings.IndexByte(r.roles[right], role) >= 0 && (!bounded || r.byDomain[right])
}

// person is an operator of the matrix.
type person struct {
	name    string
	role    byte
	bounded bool // by served.test
	browser *browserOf
	token   string
}

// makePeople makes one operator of each role with all domains, and one with served.test only. The owner makes them by the API: a
// command would be a process for each.
func (m *matrix) makePeople(t *testing.T) {
	t.Helper()
	form := m.owner.ask("GET", "/account/security", nil).part(t, `name="form" value="([^"]+)"`)
	made := func(path, fields, pattern string) string {
		t.Helper()
		return m.owner.send("POST", path, strings.NewReader(fields), "Content-Type", "application/json", "Gatepost-Form", form, "Origin", m.owner.base, "Sec-Fetch-Site", "same-origin").part(t, pattern)
	}
	for letter, role := range roleLetters {
		for _, bounded := range []bool{false, true} {
			p, domains := person{name: role + "-all", role: letter, bounded: bounded}, "[]"
			if bounded {
				p.name, domains = role+"-one", `["served.test"]`
			}
			code := made("/api/v1/users", fmt.Sprintf(`{"name":%q,"role":%q,"domains":%s}`, p.name, role, domains), `"code":"([^"]+)"`)
			p.browser = m.redeem(t, p.name, code)
			p.token = made("/api/v1/tokens", fmt.Sprintf(`{"name":"test","user":%q,"expires":%q}`, p.name, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)), `"secret":"([^"]+)"`)
			m.people = append(m.people, p)
		}
	}
}

// everybody does something for each person, several at a time: what it costs is mostly waiting for an answer.
func (m *matrix) everybody(do func(p *person)) {
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, 4)
	for i := range m.people {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			do(&m.people[i])
		})
	}
}

// operation is one of the API's own description.
type operation struct {
	method, path string
	stream       bool
}

// described are all operations that the API says it has.
func (b *browserOf) described() (all []operation) {
	b.t.Helper()
	a := b.ask("GET", "/api/v1/openapi.json", nil)
	var d struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]any `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.code != 200 || len(d.Paths) == 0 {
		b.t.Fatalf("the description: %d, %v, %.200s", a.code, err, a.body)
	}
	for path, methods := range d.Paths {
		for m, o := range methods {
			_, stream := o.Responses["200"].Content["text/event-stream"]
			all = append(all, operation{strings.ToUpper(m), path, stream})
		}
	}
	return append(all, operation{"GET", "/openapi.json", false})
}

var pathPart = regexp.MustCompile(`\{[^}]*\}`)

// TestConsoleRights: every operation that the API describes, and every page that a link leads to, under every role, for all
// domains and for one: who may gets in, who may not is told so, and nobody gets in without a login. What is refused is refused
// before anything of the request is read, so that nothing is done here: a parameter that there is not ends what is allowed. And
// whoever has one domain reads nothing of another, on no page and from no operation.
func TestConsoleRights(t *testing.T) {
	t.Parallel()
	w := begin(t, consoleSetup(dnslab.New(t, dnslab.Text(consoleZones))))
	m := &matrix{world: w, table: readRights(t), owner: w.owner(t), nobody: w.visitor(t)}
	m.makePeople(t)
	m.mails(t)
	for _, o := range m.owner.described() {
		m.operation(t, o)
	}
	kinds := map[string]bool{} // one user's page is as another's, and one message's as another's of the same kind and domains
	for _, path := range m.owner.pages(t) {
		kind := oneUser.ReplaceAllString(path, "$1")
		if anyRef.MatchString(path) {
			kind = anyRef.ReplaceAllString(path, "") + m.kindOf(t, path)
		}
		if !kinds[kind] {
			kinds[kind] = true
			m.page(t, path)
		}
	}
	m.aliens(t)
	m.changes(t)
}

// matrix is who may do what, as the table has it, beside what the daemon says.
type matrix struct {
	*world
	table         *rights
	owner, nobody *browserOf
	people        []person
	other         string // reference of a mail to other.test
}

// secrets are what nobody reads who has served.test only.
var secrets = []string{"other.test", "carol"}

// mails sends mail to both domains, some to both at once, and waits until the log tells of it.
func (m *matrix) mails(t *testing.T) {
	t.Helper()
	exe := "MIME-Version: 1.0\r\nContent-Type: application/x-msdownload; name=\"run.exe\"\r\n\r\nMZ\x90\r\n"
	head := "From: a@good.example\r\nDate: Fri, 27 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@good.example>\r\nSubject: "
	for i, to := range []string{"bob@served.test", "carol@other.test"} {
		_, _ = m.mail(t, "198.51.100.9", "mx.good.example", "listed@good.example", to, "")
		for _, message := range []string{head + "plain\r\n\r\nhello\r\n", head + "kept\r\n" + exe} {
			_, ref := m.mail(t, fmt.Sprintf("198.51.100.%d", 20+i), "mx.good.example", "a@good.example", to, message)
			if m.other = ref; ref == "" {
				t.Fatal("no reference")
			}
		}
	}
	c := m.proxied(t, "proxied", from("198.51.100.30"))
	c.reply()
	c.want("250", "EHLO mx.good.example")
	c.want("250", "MAIL FROM:<a@good.example>")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("250", "RCPT TO:<carol@other.test>")
	c.want("354", "DATA")
	c.send(head + "both\r\n\r\nhello\r\n.\r\n")
	both := anyRef.FindString(c.reply())
	for end := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		if a := m.owner.ask("GET", "/api/v1/log/"+both, nil); a.code == 200 && strings.Contains(a.body, "carol@other.test") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the log does not tell of the mail")
		}
	}
}

// operation asks for one as nobody, and as everybody.
func (m *matrix) operation(t *testing.T, o operation) {
	t.Helper()
	kind := "CHANGE"
	if o.method == "GET" {
		kind = "GET"
	}
	right := longest(m.table.api, kind+" "+o.path)
	if right == "" {
		t.Errorf("%s %s is not in testdata/console-rights.txt", o.method, o.path)
		return
	}
	plain := "/api/v1" + pathPart.ReplaceAllString(o.path, "none")
	path := plain + "?no_such_parameter=1"
	if a := m.nobody.send(o.method, path, nil); a.code != http.StatusUnauthorized {
		t.Errorf("%s %s for nobody: %d", o.method, o.path, a.code)
	}
	if a := m.nobody.send(o.method, path, nil, "Authorization", "Bearer none"); a.code != http.StatusUnauthorized {
		t.Errorf("%s %s for a token that there is not: %d", o.method, o.path, a.code)
	}
	m.everybody(func(p *person) {
		want := http.StatusForbidden
		if m.table.may(p.role, p.bounded, right) {
			want = http.StatusBadRequest
		}
		a := m.as(p, o.method, path)
		if a.code != want || want == http.StatusForbidden && !strings.Contains(a.body, right) {
			t.Errorf("%s %s by %s (%s): %d, want %d: %.300s", o.method, o.path, p.name, right, a.code, want, a.body)
		}
		if want == http.StatusBadRequest && p.bounded && kind == "GET" && !o.stream {
			hides(t, o.path+" by "+p.name, m.as(p, "GET", plain).body)
		}
	})
}

// as asks the API as somebody, by his token.
func (m *matrix) as(p *person, method, path string) pageSaid {
	return m.nobody.send(method, path, strings.NewReader("{}"), "Authorization", "Bearer "+p.token, "Content-Type", "application/json")
}

// page asks for one as nobody, and as everybody.
func (m *matrix) page(t *testing.T, path string) {
	t.Helper()
	right := longest(m.table.pages, path)
	if right == "" {
		t.Errorf("page %s is not in testdata/console-rights.txt", path)
		return
	}
	if a := m.nobody.ask("GET", path, nil); a.code != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/login") {
		t.Errorf("page %s for nobody: %d, %s", path, a.code, a.header.Get("Location"))
	}
	about := anyRef.MatchString(path) // one message: of a domain of his, or there is none
	m.everybody(func(p *person) {
		a, may := p.browser.ask("GET", path, nil), m.table.may(p.role, p.bounded, right)
		switch {
		case may && about && p.bounded && a.code == http.StatusNotFound:
		case may && a.code != 200 || !may && a.code != http.StatusForbidden:
			t.Errorf("page %s by %s (%s): %d", path, p.name, right, a.code)
		}
		if p.bounded {
			hides(t, "page "+path+" for "+p.name, a.body)
		}
		// What he may not have is not offered to him either.
		for _, to := range links(a.body) {
			if r := longest(m.table.pages, to); r != "" && !m.table.may(p.role, p.bounded, r) {
				t.Errorf("page %s shows %s a link to %s", path, p.name, to)
			}
		}
	})
}

// hides fails where a text tells something of another domain.
func hides(t *testing.T, what, text string) {
	t.Helper()
	for _, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("%s tells of %s: …%s…", what, s, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// changes tries to change what is of another domain, by the API and as its own domain's.
func (m *matrix) changes(t *testing.T) {
	t.Helper()
	m.everybody(func(p *person) {
		if !p.bounded {
			return
		}
		for what, more := range map[string]string{"release": "", "release ": `,"to":"bob@served.test"`, "delete": "", "report": `,"as":"ham"`, "forward": `,"to":"bob@served.test"`} {
			fields := fmt.Sprintf(`{"ids":[%q]%s}`, m.other, more)
			a := m.nobody.send("POST", "/api/v1/quarantine/"+strings.TrimSpace(what), strings.NewReader(fields), "Authorization", "Bearer "+p.token, "Content-Type", "application/json")
			if hides(t, what+" by "+p.name, a.body); a.code == http.StatusBadRequest {
				t.Errorf("%s by %s is not understood: %s", what, p.name, a.body)
			}
		}
	})
	if a := m.owner.ask("GET", "/api/v1/quarantine/"+m.other, nil); a.code != 200 || !strings.Contains(a.body, "carol@other.test") || !strings.Contains(a.body, `"held"`) && !strings.Contains(a.body, `"kept"`) {
		t.Errorf("the message of another domain: %d %.600s", a.code, a.body)
	}
	for _, r := range m.hop(t).Accepted() {
		if strings.Contains(string(r.Body), "run.exe") {
			t.Errorf("a message of another domain was sent to %s", r.Rcpts)
		}
	}
}

// aliens asks for what is of others, by the API.
func (m *matrix) aliens(t *testing.T) {
	t.Helper()
	for path, right := range m.table.aliens {
		path = "/api/v1" + strings.ReplaceAll(path, "OTHER", m.other)
		m.everybody(func(p *person) {
			a, all := m.as(p, "GET", path), !p.bounded && m.table.may(p.role, false, right)
			if all != (a.code == 200) {
				t.Errorf("%s by %s: %d %.300s", path, p.name, a.code, a.body)
			}
			if !all {
				hides(t, path+" by "+p.name, strings.ReplaceAll(a.body, ownerName, secrets[0]))
			}
		})
	}
}
