package relay

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

const (
	authUser     = "gate,way=1"
	authPassword = "s3cret pä$$"
)

func decoded(t *testing.T, text string) string {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Errorf("%q is no base64", text)
	}
	return string(b)
}

// last is the command that the act answers.
func (s *fakeSession) last() string {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	return s.f.commands[len(s.f.commands)-1]
}

// takes is a server of all three mechanisms that knows one user. It proves itself in SCRAM by the password that it knows.
func takes(t *testing.T, user, password string) act {
	return func(s *fakeSession) bool {
		words := strings.Fields(s.last())
		ask := func(text string) (string, bool) {
			if !say("334 " + base64.StdEncoding.EncodeToString([]byte(text)))(s) {
				return "", false
			}
			l, ok := s.line()
			return decoded(t, l), ok
		}
		good := false
		switch words[1] {
		case "PLAIN":
			good = decoded(t, words[2]) == "\x00"+user+"\x00"+password
		case "LOGIN":
			u, _ := ask("Username:")
			p, ok := ask("Password:")
			good = ok && u == user && p == password
		case "SCRAM-SHA-256":
			first := strings.TrimPrefix(decoded(t, words[2]), "n,,")
			asked := "r=" + first[strings.Index(first, ",r=")+3:] + "more,s=" + base64.StdEncoding.EncodeToString([]byte("salt")) + ",i=4096"
			final, ok := ask(asked)
			bare, proof, _ := strings.Cut(final, ",p=")
			salted, err := pbkdf2.Key(sha256.New, password, []byte("salt"), 4096, 32)
			if err != nil || !ok {
				return false
			}
			stored := sha256.Sum256(mac(salted, "Client Key"))
			message := first + "," + asked + "," + bare
			shown := []byte(decoded(t, proof))
			for i, b := range mac(stored[:], message) {
				shown[i] ^= b
			}
			if again := sha256.Sum256(shown); again != stored {
				return say("535 5.7.8 No")(s)
			}
			if empty, ok := ask("v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), message))); !ok || empty != "" {
				return false
			}
			good = strings.HasPrefix(first, "n="+strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)+",")
		}
		if !good {
			return say("535 5.7.8 Authentication credentials invalid")(s)
		}
		return say("235 2.7.0 Welcome")(s)
	}
}

// smarthost is a fake that wants a certificate of ca to be believed, and its route.
func smarthost(t *testing.T, ca *authority, auth string, a *Auth) (*fake, Route) {
	f := newFake(t, append([]string{"STARTTLS", auth}, everything...)...)
	f.tls = &tls.Config{Certificates: []tls.Certificate{ca.issue("inner.example", time.Now().Add(time.Hour), ca)}}
	return f, Route{Hops: []Hop{f.hop()}, TLS: Required, RootCAs: ca.pool, ServerName: "inner.example", Timeouts: long(), Auth: a}
}

func TestAuth(t *testing.T) {
	ca := newAuthority(t)
	for _, tt := range []struct {
		offer string
		want  Mechanism
		used  string // "": it does not come to it
	}{
		{"AUTH PLAIN LOGIN SCRAM-SHA-256", Auto, "SCRAM-SHA-256"},
		{"AUTH LOGIN PLAIN", Auto, "PLAIN"},
		{"auth login", Auto, "LOGIN"},
		{"AUTH PLAIN LOGIN SCRAM-SHA-256", Login, "LOGIN"},
		{"AUTH PLAIN LOGIN SCRAM-SHA-256", Plain, "PLAIN"},
		{"AUTH PLAIN LOGIN", ScramSHA256, ""},
		{"AUTH CRAM-MD5 XOAUTH2 GSSAPI", Auto, ""},
		{"AUTH", Auto, ""},
		{"HELP", Auto, ""},
	} {
		for _, password := range []string{authPassword, "another"} {
			t.Run(fmt.Sprintf("%s/%s/%v", tt.offer, tt.want, password == authPassword), func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				f, route := smarthost(t, ca, tt.offer, &Auth{User: authUser, Password: authPassword, Mechanism: tt.want, Key: "route[out].auth"})
				f.set("AUTH", takes(t, authUser, password))
				route.Name, route.Hostname = "inner", "mx.example.org"
				r, err := New(NewPools(nil, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))), []Route{route})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				var got gateway.Relayed
				for range 3 {
					got = r.Relay(t.Context(), delivery(small))
				}
				_, commands, conns := f.seen()
				n := strings.Count(strings.Join(commands, "\n"), "AUTH ")
				h := r.Health()[0]
				if tt.used != "" && password == authPassword {
					if got.Result != gateway.Delivered || conns != 1 || n != 1 {
						t.Errorf("%d connections, %d AUTH: %+v", conns, n, got)
					}
				} else if got.Result != gateway.NotDelivered || got.At != atEHLO || !got.Unreached() || h.State != "open" ||
					!strings.Contains(h.LastError, "route[out].auth") || got.Reply.Enhanced != "4.4.1" {
					t.Errorf("got %+v, health %+v", got, h)
				}
				if tt.used == "" && n != 0 || tt.used != "" && !strings.Contains(strings.Join(commands, "\n"), "AUTH "+tt.used) {
					t.Errorf("commands %q", commands)
				}
				everywhere := fmt.Sprintf("%+v %+v %s %#v", got, h, log.String(), route.Auth)
				if strings.Contains(everywhere, authPassword) || strings.Contains(everywhere, encoded(authPassword)) {
					t.Errorf("the password is in %s", everywhere)
				}
			})
		}
	}
}

// A next hop that does anything but the exchange gets no message, hears no password twice, and its reply is not repeated
// where it holds what is secret.
func TestAuthFaults(t *testing.T) {
	ca := newAuthority(t)
	echo := func(s *fakeSession) bool { return say("535 5.7.8 " + s.last())(s) }
	for _, fl := range append(faults(), fault{"echo", echo}, fault{"echo decoded", say("535 5.7.8 wrong: " + authPassword)},
		fault{"235 at once", say("235 2.7.0 Welcome")}, fault{"334 no base64", say("334 ???")}, fault{"334 empty", say("334 ")}) {
		for m := ScramSHA256; m <= Login; m++ {
			if fl.name == "235 at once" && m == Plain {
				continue // that is its answer
			}
			t.Run(m.String()+"/"+fl.name, func(t *testing.T) {
				t.Parallel()
				f, route := smarthost(t, ca, "AUTH PLAIN LOGIN SCRAM-SHA-256", &Auth{User: authUser, Password: authPassword, Mechanism: m, Key: "auth"})
				f.set("AUTH", fl.act)
				got := newRelay(t, route).Relay(t.Context(), delivery(small))
				messages, _, _ := f.seen()
				if got.Result != gateway.NotDelivered || got.Reply.Code != 451 || len(messages) > 0 {
					t.Errorf("got %+v", got)
				}
				for _, secret := range []string{authPassword, encoded(authPassword), encoded("\x00" + authUser + "\x00" + authPassword)} {
					if strings.Contains(got.Said+got.Reply.Text, secret) {
						t.Errorf("repeated: %+v", got)
					}
				}
			})
		}
	}
}

// Nothing secret goes in clear, whoever made the route.
func TestAuthNeverInClear(t *testing.T) {
	a := &Auth{User: "u", Password: "p", Key: "auth"}
	for _, mode := range []Mode{None, Opportunistic} {
		_, err := New(NewPools(nil, nil), []Route{{Name: "x", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: mode, Auth: a}})
		if err == nil || !strings.Contains(err.Error(), "needs TLS that is verified") {
			t.Errorf("%s: %v", mode, err)
		}
		f := newFake(t, append([]string{"AUTH PLAIN"}, everything...)...)
		p := NewPools(nil, nil)
		s := newSettings(&Route{Name: "x", Hostname: "mx", TLS: mode, Auth: a, Timeouts: long()}, f.hop())
		h := p.use(s)
		if c, err := h.connect(context.Background()); err == nil {
			c.close()
			t.Errorf("%s: connected", mode)
		}
		if _, commands, _ := f.seen(); strings.Contains(strings.Join(commands, "\n"), "AUTH") {
			t.Errorf("%s: %q", mode, commands)
		}
	}
}

// The example of RFC 7677 section 3.
func TestScramExample(t *testing.T) {
	x := newScram(&Auth{User: "user", Password: "pencil"}, "rOprNGfwEbeRWgbNEkqO")
	if x.first != "n=user,r=rOprNGfwEbeRWgbNEkqO" {
		t.Error(x.first)
	}
	final, err := x.answer("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
	if want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="; err != nil || final != want {
		t.Errorf("%s, %v", final, err)
	}
	if err := x.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "v=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "e=other-error", "v=????", "x=1,v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="} {
		if x.verify(bad) == nil {
			t.Errorf("%q is believed", bad)
		}
	}
	for _, bad := range []string{"", "r=other,s=W22Z,i=4096", "r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096", "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096",
		"r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1", "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=2000000000",
		"r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=-1", "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=99999999999999999999", "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z"} {
		if _, err := newScram(&Auth{User: "user", Password: "pencil"}, "rOprNGfwEbeRWgbNEkqO").answer(bad); err == nil {
			t.Errorf("%q is answered", bad)
		}
	}
}

// What a server says in SCRAM costs no time beyond the bound, and never makes us answer for another nonce.
func FuzzScram(f *testing.F) {
	for _, s := range []string{"r=Nx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=N,s=,i=1", "m=1,r=Nx", "r=Nx,s=AA==,i=1000001", "r=Nx,s=AA==,i=4096,ext=1", ",,,", "v=AA=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if nonce, salt, n, err := parseServerFirst(text); err == nil {
			if n < leastIterations || n > mostIterations || len(salt) == 0 || len(salt) > mostSalt || strings.ContainsAny(nonce, ",\r\n ") {
				t.Errorf("%q: %q %q %d", text, nonce, salt, n)
			}
			if n > 2*leastIterations {
				return
			}
		}
		x := newScram(&Auth{User: "u", Password: "p"}, "N")
		final, err := x.answer(text)
		if err == nil && !strings.HasPrefix(final, "c=biws,r=N") {
			t.Errorf("%q: %q", text, final)
		}
		if x.verify(text) == nil {
			t.Errorf("%q is believed", text)
		}
	})
}

// The client certificate is shown where it is asked for, whatever authorities the next hop names, and nowhere else.
func TestClientCertificate(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	ours := ca.issue("gate.example", time.Now().Add(time.Hour), other)
	for _, tt := range []struct {
		name string
		ask  tls.ClientAuthType
		show *tls.Certificate
		want gateway.RelayResult
	}{
		{"asked", tls.RequireAnyClientCert, &ours, gateway.Delivered},
		{"asked, names others", tls.RequestClientCert, &ours, gateway.Delivered},
		{"not asked", tls.NoClientCert, &ours, gateway.Delivered},
		{"none", tls.RequireAnyClientCert, nil, gateway.NotDelivered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, route := smarthost(t, ca, "HELP", nil)
			shown := make(chan int, 9)
			f.tls.ClientAuth, f.tls.ClientCAs = tt.ask, ca.pool
			f.tls.VerifyConnection = func(s tls.ConnectionState) error { shown <- len(s.PeerCertificates); return nil }
			route.Certificate = tt.show
			got := newRelay(t, route).Relay(t.Context(), delivery(small))
			if got.Result != tt.want {
				t.Fatalf("got %+v", got)
			}
			if want := min(int(tt.ask), 1); tt.want == gateway.Delivered {
				if n := <-shown; n != want {
					t.Errorf("%d certificates were shown, want %d", n, want)
				}
			}
		})
	}
}
