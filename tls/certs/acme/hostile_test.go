package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// authority is one in this process that does what a test says. It verifies nothing.
type authority struct {
	mu     sync.Mutex
	asked  map[string]int // requests by path
	faults map[string]http.HandlerFunc
	proved bool
	over   bool // a certificate was made
	names  []string
	csr    *x509.CertificateRequest
	solver *HTTP
}

const authorityAt = "https://authority.test"

// RoundTrip answers a request as a server would.
func (a *authority) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	a.mu.Lock()
	a.asked[r.URL.Path]++
	fault := a.faults[r.URL.Path]
	a.mu.Unlock()
	w.Header().Set("Replay-Nonce", "bm9uY2U")
	if fault != nil {
		fault(w, r)
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
	} else {
		a.serve(w, r)
	}
	res := w.Result()
	res.Request = r
	return res, nil
}

func say(w http.ResponseWriter, status int, format string, args ...any) {
	w.WriteHeader(status)
	fmt.Fprintf(w, format, args...)
}

// payload is what a signed request says.
func payload(r *http.Request, out any) {
	var jws struct{ Payload string }
	json.NewDecoder(r.Body).Decode(&jws)
	text, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	json.Unmarshal(text, out)
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch r.URL.Path {
	case "/dir":
		say(w, 200, `{"newNonce":%[1]q,"newAccount":%[2]q,"newOrder":%[3]q}`, authorityAt+"/nonce", authorityAt+"/account", authorityAt+"/order")
	case "/nonce":
	case "/account", "/account/1":
		w.Header().Set("Location", authorityAt+"/account/1")
		say(w, 201, `{"status":"valid"}`)
	case "/order":
		w.Header().Set("Location", authorityAt+"/order/1")
		a.proved, a.over = false, false
		say(w, 201, "%s", a.order())
	case "/order/1":
		w.Header().Set("Location", authorityAt+"/order/1")
		say(w, 200, "%s", a.order())
	case "/authz":
		status := "pending"
		if a.proved {
			status = "valid"
		}
		say(w, 200, `{"status":%q,"identifier":{"type":"dns","value":%q},"challenges":[{"type":"http-01","url":%q,"token":"AAAAAAAAAAAAAAAAAAAAAAAAAA","status":"pending"}]}`, status, a.names[0], authorityAt+"/challenge")
	case "/challenge":
		a.proved = a.solver.Answer("AAAAAAAAAAAAAAAAAAAAAAAAAA") != nil
		say(w, 200, `{"type":"http-01","url":%q,"token":"AAAAAAAAAAAAAAAAAAAAAAAAAA","status":"processing"}`, authorityAt+"/challenge")
	case "/finalize":
		var in struct{ CSR string }
		payload(r, &in)
		der, _ := base64.RawURLEncoding.DecodeString(in.CSR)
		a.csr, _ = x509.ParseCertificateRequest(der)
		a.over = true
		w.Header().Set("Location", authorityAt+"/order/1")
		say(w, 200, "%s", a.order())
	case "/certificate":
		pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: issue(a.csr.PublicKey, time.Now().Add(-time.Hour), 90*24*time.Hour, a.csr.DNSNames...)})
	default:
		say(w, 404, "{}")
	}
}

func (a *authority) order() string {
	status := "pending"
	switch {
	case a.over:
		status = "valid"
	case a.proved:
		status = "ready"
	}
	return fmt.Sprintf(`{"status":%q,"identifiers":[{"type":"dns","value":%q}],"authorizations":[%q],"finalize":%q,"certificate":%q}`,
		status, a.names[0], authorityAt+"/authz", authorityAt+"/finalize", authorityAt+"/certificate")
}

// newAuthority makes one, and a manager of a certificate that it is to give.
func newAuthority(t testing.TB, dir string) (*authority, *Manager) {
	a := &authority{asked: map[string]int{}, faults: map[string]http.HandlerFunc{}, names: []string{"mx.example.org"}, solver: new(HTTP)}
	m := fakeManager(nil, dir, nil, Entry{Names: a.names, Solver: a.solver})
	m.Authority = &Authority{Directory: authorityAt + "/dir", Dir: dir, Log: slog.New(slog.DiscardHandler), way: a}
	m.get = nil
	return a, m
}

func static(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { say(w, status, "%s", body) }
}

// certificateOf answers with a chain.
func certificateOf(chain ...[]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, der := range chain {
			pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
	}
}

// TestHostileAuthority has an authority that is broken, slow, huge or hostile in each answer: no certificate comes of it, the
// reason is told clean, and nobody is asked without end.
func TestHostileAuthority(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	huge := strings.Repeat(" ", 10<<20)
	for _, c := range []struct {
		name, path string
		fault      http.HandlerFunc
		want       string
	}{
		{"directory is a page", "/dir", static(200, "<html>welcome</html>"), "invalid character"},
		{"directory is huge", "/dir", static(200, huge+"{}"), "over 262144 octets"},
		{"directory of another protocol", "/dir", static(200, `{"new-reg":"https://authority.test/"}`), "does not support"},
		{"directory leads elsewhere", "/dir", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1/", http.StatusFound)
		}, "302"},
		{"addresses that are not https", "/dir", static(200, `{"newNonce":"http://authority.test/nonce","newAccount":"http://authority.test/account","newOrder":"http://authority.test/order"}`), "which is not https"},
		{"fails for long", "/dir", static(503, "later"), "the authority answers 503: later"},
		{"account is refused", "/account", static(403, `{"type":"urn:ietf:params:acme:error:unauthorized","detail":"we do not\r\nlike \u001b[31myou"}`), "account: unauthorized: we do not like [31myou"},
		{"error is huge", "/order", static(400, `{"type":"urn:ietf:params:acme:error:malformed","detail":"`+strings.Repeat("x", 100_000)+`"}`), "malformed: xxx"},
		{"order without address", "/order", static(201, `{"status":"pending","identifiers":[{"type":"dns","value":"mx.example.org"}]}`), "gave the order no address"},
		{"order for others", "/order", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", authorityAt+"/order/1")
			say(w, 201, `{"status":"pending","identifiers":[{"type":"dns","value":"www.bank.example"}]}`)
		}, "made an order for other names: www.bank.example"},
		{"many proofs", "/order", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", authorityAt+"/order/1")
			say(w, 201, `{"status":"pending","identifiers":[{"type":"dns","value":"mx.example.org"}],"authorizations":["https://a/"%s]}`, strings.Repeat(`,"https://a/"`, 1000))
		}, "wants 1001 proofs for 1 names"},
		{"proof of another name", "/authz", static(200, `{"status":"pending","identifier":{"type":"dns","value":"www.bank.example"}}`), "wants a proof for www.bank.example, which was not ordered"},
		{"proof that is no longer", "/authz", static(200, `{"status":"expired","identifier":{"type":"dns","value":"mx.example.org"}}`), "the authorization is expired"},
		{"other challenges", "/authz", static(200, `{"status":"pending","identifier":{"type":"dns","value":"mx.example.org"},"challenges":[{"type":"dns-01"},{"type":"new-02"}]}`), "offers no http-01, only dns-01, new-02"},
		{"token that leads elsewhere", "/authz", static(200, `{"status":"pending","identifier":{"type":"dns","value":"mx.example.org"},"challenges":[{"type":"http-01","token":"../../../../../etc/passwd/x"}]}`), "the token of the challenge is none"},
		{"never ready", "/order/1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "-5")
			say(w, 200, `{"status":"pending"}`)
		}, "it took too long"},
		{"ready one day", "/order/1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999")
			say(w, 200, `{"status":"processing"}`)
		}, "it took too long"},
		{"junk while waiting", "/order/1", static(200, "<html>"), "it took too long"},
		{"certificate of another key", "/certificate", certificateOf(issue(other.Public(), time.Now(), 1e6*time.Hour, "mx.example.org")), "is of another key"},
		{"certificate is none", "/certificate", static(200, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "certificate: x509"},
		{"a key in its place", "/certificate", static(200, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "invalid PEM cert type"},
		{"nothing in its place", "/certificate", static(200, ""), "chain is empty"},
		{"endless chain", "/certificate", func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, io.LimitReader(endless("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 8<<20))
		}, ""},
		{"never answers", "/finalize", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				a, m := newAuthority(t, dir)
				a.faults[c.path] = c.fault
				play(t, m, 20*time.Minute)
				s := m.Status()[0]
				if s.Failures == 0 || !s.NotAfter.IsZero() || !strings.Contains(s.Error, c.want) {
					t.Errorf("%d failures: %q", s.Failures, s.Error)
				}
				if len(s.Error) > maxWords*4+10 || strings.ContainsAny(s.Error, "\r\n\x1b") {
					t.Errorf("it is told raw: %q", s.Error)
				}
				for path, n := range a.asked {
					if n > 400 {
						t.Errorf("%s was asked for %d times in 20 minutes", path, n)
					}
				}
				if len(a.solver.answers) > 0 {
					t.Error("an answer stays")
				}
			})
		})
	}
}

type endless string

func (e endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte(e), len(p)/len(e)+1)), nil
}

// TestCertificateIsLookedAt gives certificates of the right key that may not be shown.
func TestCertificateIsLookedAt(t *testing.T) {
	for _, c := range []struct {
		name  string
		chain func(key any) [][]byte
		want  string
	}{
		{"another name", func(k any) [][]byte { return [][]byte{issue(k, time.Now(), time.Hour, "mx.example.com")} }, "it is not for mx.example.org"},
		{"over", func(k any) [][]byte {
			return [][]byte{issue(k, time.Now().Add(-2*time.Hour), time.Hour, "mx.example.org")}
		}, "it has expired on"},
		{"chain of others", func(k any) [][]byte {
			return [][]byte{issue(k, time.Now(), time.Hour, "mx.example.org"), issue(k, time.Now(), time.Hour, "x")}
		}, "its chain is not in order"},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			a, m := newAuthority(t, dir)
			a.faults["/certificate"] = func(w http.ResponseWriter, r *http.Request) { certificateOf(c.chain(a.csr.PublicKey)...)(w, r) }
			play(t, m, time.Minute)
			if s := m.Status()[0]; !strings.Contains(s.Error, c.want) || !s.NotAfter.IsZero() {
				t.Errorf("%s: %q", c.name, s.Error)
			}
			delete(a.faults, "/certificate")
			play(t, m2(m), time.Hour)
		})
	}
}

// m2 is the same manager after a restart.
func m2(m *Manager) *Manager {
	return &Manager{Authority: m.Authority, Entries: m.Entries, Dir: m.Dir, Show: m.Show, Log: m.Log}
}

// TestRateLimited is told when to come again (RFC 8555 section 6.6), and does, but for what is beyond a day.
func TestRateLimited(t *testing.T) {
	for after, want := range map[string][2]time.Duration{
		"7200":                          {2 * time.Hour, 2 * time.Hour},
		"99999999":                      {24 * time.Hour, 24 * time.Hour},
		"-7":                            {40 * time.Second, 2 * time.Minute},
		"soon":                          {40 * time.Second, 2 * time.Minute},
		"Sat, 01 Jan 2000 05:00:00 GMT": {5*time.Hour - time.Minute, 5 * time.Hour}, // the bubble's clock begins there
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			a, m := newAuthority(t, dir)
			a.faults["/order"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", after)
				say(w, 429, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates"}`)
			}
			play(t, m, time.Second)
			s := m.Status()[0]
			if left := s.Next.Sub(s.ErrorAt); left < want[0] || left > want[1] || s.Error != "rateLimited: too many certificates" {
				t.Errorf("Retry-After: %s: the next try is in %v, %q", after, left, s.Error)
			}
			if a.asked["/order"] != 1 {
				t.Errorf("asked %d times", a.asked["/order"])
			}
			delete(a.faults, "/order")
			play(t, m2(m), want[1]+time.Minute)
			if s := m2(m); a.over != true {
				t.Errorf("it was not tried again: %v", s)
			}
		})
	}
}

// FuzzAnswers puts octets in place of one answer of an authority: a certificate comes of our key and for our name, or none.
func FuzzAnswers(f *testing.F) {
	for i := range 8 {
		f.Add(uint8(i), []byte(`{"status":"valid","identifiers":[{"type":"dns","value":"mx.example.org"}],"authorizations":["https://authority.test/authz"]}`))
	}
	f.Add(uint8(3), []byte(`{"status":"pending","identifier":{"type":"dns","value":"mx.example.org"},"challenges":[{"type":"http-01","url":"https://authority.test/challenge","token":"AAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))
	paths := []string{"/dir", "/account", "/order", "/authz", "/challenge", "/order/1", "/finalize", "/certificate"}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			a, m := newAuthority(t, dir)
			status := 200
			if path := paths[int(which)%len(paths)]; path == "/order" {
				status = 201
				a.faults[path] = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", authorityAt+"/order/1")
					say(w, status, "%s", body)
				}
			} else {
				a.faults[path] = static(status, string(body))
			}
			key, err := newKey(ECDSA)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			chain, err := m.Authority.order(ctx, request{names: a.names, key: key, solver: a.solver, placed: func(string) {}})
			if err == nil {
				err = m.look(&pair{key: key, chain: chain}, a.names)
				if err == nil && a.csr == nil {
					t.Error("a certificate that nobody made")
				}
			}
			if err != nil && strings.ContainsAny(words(err), "\r\n\x00\x1b") {
				t.Errorf("raw: %q", words(err))
			}
			if len(a.solver.answers) > 0 {
				t.Error("an answer stays")
			}
		})
	})
}
