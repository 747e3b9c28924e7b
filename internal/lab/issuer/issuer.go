// Package issuer is a small issuer of OpenID Connect for tests: discovery, authorization code with PKCE, tokens signed with RS256,
// its keys, and what it tells of a user. It can be told to do each of it wrong. It is for tests alone.
package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// The one client that it knows.
const (
	ClientID = "gatepost"
	Secret   = "of-the-client"
)

// Server is an issuer at a loopback address, over HTTP.
type Server struct {
	URL string // its name

	http *http.Server
	key  *rsa.PrivateKey

	mu     sync.Mutex
	people map[string]map[string]any // claims by subject
	codes  map[string]grant
	tokens map[string]string // subject by access token
	change func(claims map[string]any)
	forge  bool
	answer map[string]http.HandlerFunc
	asked  []string
}

// grant is what a code is worth.
type grant struct {
	subject, redirect, challenge, nonce string
	proved                              time.Time
}

// Start makes one with people: the claims of each by his subject.
func Start(people map[string]map[string]any) (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + l.Addr().String(), key: key, people: people, codes: map[string]grant{}, tokens: map[string]string{}, answer: map[string]http.HandlerFunc{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("GET /auth", s.auth)
	mux.HandleFunc("POST /auth", s.auth)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /userinfo", s.userinfo)
	s.http = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		instead := s.answer[r.URL.Path]
		s.mu.Unlock()
		if instead != nil {
			instead(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	go func() { _ = s.http.Serve(l) }()
	return s, nil
}

// Close ends it.
func (s *Server) Close() error { return s.http.Close() }

// Change has the claims of each ID token changed before it is signed; nil: not.
func (s *Server) Change(how func(claims map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change = how
}

// Forge has ID tokens signed with a key that is not its own.
func (s *Server) Forge(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forge = on
}

// Answer has requests for a path answered so; nil: as they should be.
func (s *Server) Answer(path string, how http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer[path] = how
}

// Asked are the paths that were asked for, in order.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Put writes the claims of somebody.
func (s *Server) Put(subject string, claims map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[subject] = claims
}

// Login is what a browser does whose user is somebody: it goes to the address of Start, and returns the query with which it comes
// back.
func (s *Server) Login(address, subject string) (url.Values, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	to, err := s.allow(u.Query(), subject)
	if err != nil {
		return nil, err
	}
	back, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	return back.Query(), nil
}

// allow makes the address that a browser goes back to, with a code for somebody.
func (s *Server) allow(q url.Values, subject string) (string, error) {
	if q.Get("response_type") != "code" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("nonce") == "" {
		return "", fmt.Errorf("the request is no good: %v", q)
	}
	code := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.people[subject] == nil {
		return "", fmt.Errorf("there is no %q", subject)
	}
	s.codes[code] = grant{subject, q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("nonce"), time.Now()}
	return q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {s.URL}}.Encode(), nil
}

func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	put(w, map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/auth", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/keys",
		"userinfo_endpoint": s.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"}})
}

func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	put(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": text(s.key.N.Bytes()), "e": text(big.NewInt(int64(s.key.E)).Bytes())}}})
}

// page is what somebody sees who is to say who he is.
var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Issuer</title><h1>Who are you?</h1><form method="post">
{{range .}}<button name="subject" value="{{.}}">{{.}}</button> {{end}}<button name="subject" value="">Nobody</button></form></html>`))

func (s *Server) auth(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.mu.Lock()
		names := slices.Sorted(maps.Keys(s.people))
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, names)
		return
	}
	q := r.URL.Query()
	if r.PostFormValue("subject") == "" {
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"error": {"access_denied"}, "state": {q.Get("state")}}.Encode(), http.StatusSeeOther)
		return
	}
	to, err := s.allow(q, r.PostFormValue("subject"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	s.mu.Lock()
	g, there := s.codes[r.PostFormValue("code")]
	delete(s.codes, r.PostFormValue("code"))
	s.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case id != ClientID || secret != Secret:
		fault(w, http.StatusUnauthorized, "invalid_client")
		return
	case !there || text(sum[:]) != g.challenge || r.PostFormValue("redirect_uri") != g.redirect || r.PostFormValue("grant_type") != "authorization_code":
		fault(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	access := rand.Text()
	half := sha256.Sum256([]byte(access))
	now := time.Now()
	claims := map[string]any{"iss": s.URL, "sub": g.subject, "aud": ClientID, "nonce": g.nonce, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": g.proved.Unix(), "at_hash": text(half[:16])}
	s.mu.Lock()
	s.tokens[access] = g.subject
	maps.Copy(claims, s.people[g.subject])
	change, key := s.change, s.key
	forge := s.forge
	s.mu.Unlock()
	if change != nil {
		change(claims)
	}
	if forge {
		key, _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	signed, err := sign(key, claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	put(w, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": signed})
}

func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	var access string
	_, _ = fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &access)
	s.mu.Lock()
	subject, there := s.tokens[access]
	claims := maps.Clone(s.people[subject])
	s.mu.Unlock()
	if !there {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims["sub"] = subject
	put(w, claims)
}

// sign makes a JWT (RFC 7519, RFC 7515), signed with RS256.
func sign(key *rsa.PrivateKey, claims map[string]any) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	head := text([]byte(`{"alg":"RS256","typ":"JWT","kid":"one"}`)) + "." + text(body)
	sum := sha256.Sum256([]byte(head))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return head + "." + text(signature), err
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func put(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fault(w http.ResponseWriter, status int, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": what})
}
