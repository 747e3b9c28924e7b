package accounts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// authenticator is a passkey in software, with what goes wrong with one.
type authenticator struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	id     []byte
	count  uint32
	site   string // that it believes to be at
	origin string
}

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authenticator{t: t, key: key, id: make([]byte, 32), site: "console.example.org", origin: "https://console.example.org:8443"}
	rand.Read(a.id)
	return a
}

func (a *authenticator) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// asked is what both ceremonies ask.
type asked struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		Allow     []struct {
			ID string `json:"id"`
		} `json:"allowCredentials"`
		Exclude []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
		RP struct {
			ID string `json:"id"`
		} `json:"rp"`
	} `json:"publicKey"`
}

func (a *authenticator) read(c accounts.Ceremony) (out asked) {
	a.t.Helper()
	a.must(json.Unmarshal(c.Options, &out))
	return out
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// client is the client data of an answer.
func (a *authenticator) client(kind, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	a.must(err)
	return b
}

// data is what the authenticator signs, with a credential where it makes one.
func (a *authenticator) data(credential bool) []byte {
	site := sha256.Sum256([]byte(a.site))
	flags := byte(0x05) // the user is there, and was verified
	if credential {
		flags |= 0x40
	}
	a.count++
	out := binary.BigEndian.AppendUint32(append(site[:], flags), a.count)
	if !credential {
		return out
	}
	key, err := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: a.key.X.FillBytes(make([]byte, 32)), -3: a.key.Y.FillBytes(make([]byte, 32))})
	a.must(err)
	out = append(out, make([]byte, 16)...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(a.id)))
	return append(append(out, a.id...), key...)
}

// create answers a registration.
func (a *authenticator) create(c accounts.Ceremony) []byte {
	a.t.Helper()
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": a.data(true)})
	a.must(err)
	return a.answer(map[string]any{"clientDataJSON": text(a.client("webauthn.create", a.read(c).PublicKey.Challenge)), "attestationObject": text(object)})
}

// get answers a login.
func (a *authenticator) get(c accounts.Ceremony, change func(map[string]any)) []byte {
	a.t.Helper()
	client, data := a.client("webauthn.get", a.read(c).PublicKey.Challenge), a.data(false)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	signed, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	a.must(err)
	response := map[string]any{"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signed)}
	if change != nil {
		change(response)
	}
	return a.answer(response)
}

func (a *authenticator) answer(response map[string]any) []byte {
	b, err := json.Marshal(map[string]any{"id": text(a.id), "rawId": text(a.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	a.must(err)
	return b
}

// withPasskey is a world whose anna has a passkey and a session.
func withPasskey(t *testing.T) (world, *authenticator, access.Actor) {
	t.Helper()
	w := newWorld(t)
	who, old := w.login("anna")
	key := newAuthenticator(t)
	c, err := w.StartPasskey(t.Context(), who)
	w.ok(err)
	token, err := w.FinishPasskey(t.Context(), who, c.Ticket, "blue key", key.create(c))
	w.ok(err)
	if _, _, err := w.FromSession(t.Context(), old, here.Address); !accounts.Is(err, accounts.Wrong) {
		t.Fatalf("the session kept its token: %v", err)
	}
	return w, key, w.actor(token)
}

// TestPasskey shows that a passkey is asked as a second factor, lets in once for each answer, and is asked no more when it is gone.
func TestPasskey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, key, who := withPasskey(t)
		c, err := w.StartPasskey(t.Context(), who)
		w.ok(err)
		if out := key.read(c).PublicKey; len(out.Exclude) != 1 || out.Exclude[0].ID != text(key.id) || out.RP.ID != "console.example.org" {
			t.Errorf("%+v", out)
		}
		_, err = w.FinishPasskey(t.Context(), who, c.Ticket, "again", key.create(c))
		w.refused(err, accounts.Conflict)
		step, err := w.Begin(t.Context(), "anna", good, here)
		w.ok(err)
		if step.Token != "" || !slices.Equal(step.Methods, []string{"passkey"}) {
			t.Fatalf("%+v", step)
		}
		c, err = w.ChallengePasskey(t.Context(), step.Pending)
		w.ok(err)
		if allow := key.read(c).PublicKey.Allow; len(allow) != 1 || allow[0].ID != text(key.id) {
			t.Errorf("%+v", allow)
		}
		answer := key.get(c, nil)
		in, err := w.SecondPasskey(t.Context(), step.Pending, c.Ticket, answer, here)
		w.ok(err)
		who = w.actor(in.Token)
		_, err = w.SecondPasskey(t.Context(), step.Pending, c.Ticket, answer, here)
		w.refused(err, accounts.Wrong)
		all, err := w.Passkeys(t.Context(), "anna")
		w.ok(err)
		if len(all) != 1 || all[0].Name != "blue key" || all[0].Used.IsZero() {
			t.Errorf("%+v", all)
		}
		_, err = w.DropPasskey(t.Context(), who, []byte("x"))
		w.refused(err, accounts.Missing)
		_, err = w.DropPasskey(t.Context(), who, key.id)
		w.ok(err)
		step, err = w.Begin(t.Context(), "anna", good, here)
		w.ok(err)
		if step.Token == "" {
			t.Error("a second factor is asked that is not there")
		}
	})
}

// TestPasskeyForged shows what lets nobody in: another site, another challenge, another key, another user's login, a signature of
// something else, a copy that lags behind, what took too long; and that tries are slowed as those of codes are.
func TestPasskeyForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, key, _ := withPasskey(t)
		begin := func() (string, accounts.Ceremony) {
			t.Helper()
			step, err := w.Begin(t.Context(), "anna", good, here)
			w.ok(err)
			c, err := w.ChallengePasskey(t.Context(), step.Pending)
			w.ok(err)
			return step.Pending, c
		}
		other := newAuthenticator(t)
		phished := *key
		phished.site, phished.origin = "console.example.net", "https://console.example.net"
		framed := *key
		framed.origin = "https://console.example.org.evil.example:8443"
		stranger := *other
		stranger.id = key.id
		pending, early := begin()
		_, foreign := begin()
		_, err := w.SecondPasskey(t.Context(), pending, foreign.Ticket, key.get(foreign, nil), here)
		w.refused(err, accounts.Bad) // of another login
		time.Sleep(time.Hour)
		for name, answer := range map[string]func(accounts.Ceremony) []byte{
			"another site":      func(c accounts.Ceremony) []byte { return phished.get(c, nil) },
			"another origin":    func(c accounts.Ceremony) []byte { return framed.get(c, nil) },
			"another key":       func(c accounts.Ceremony) []byte { return stranger.get(c, nil) },
			"an unknown key":    func(c accounts.Ceremony) []byte { return other.get(c, nil) },
			"another challenge": func(accounts.Ceremony) []byte { return key.get(early, nil) },
			"another's handle": func(c accounts.Ceremony) []byte {
				return key.get(c, func(r map[string]any) { r["userHandle"] = text([]byte("x")) })
			},
			"no signature":   func(c accounts.Ceremony) []byte { return key.get(c, func(r map[string]any) { r["signature"] = "" }) },
			"a registration": func(c accounts.Ceremony) []byte { return key.create(c) },
			"nothing":        func(accounts.Ceremony) []byte { return nil },
			"no JSON":        func(accounts.Ceremony) []byte { return []byte("{") },
			"too much":       func(c accounts.Ceremony) []byte { return append(key.get(c, nil), make([]byte, 1<<17)...) },
			"broken client data": func(c accounts.Ceremony) []byte {
				return key.get(c, func(r map[string]any) { r["clientDataJSON"] = "!" })
			},
			"short authenticator": func(c accounts.Ceremony) []byte {
				return key.get(c, func(r map[string]any) { r["authenticatorData"] = text([]byte{1}) })
			},
		} {
			pending, c := begin()
			if step, err := w.SecondPasskey(t.Context(), pending, c.Ticket, answer(c), here); !accounts.Is(err, accounts.Wrong) {
				t.Errorf("%s: %+v %v", name, step, err)
			}
			time.Sleep(time.Hour)
		}
		var c accounts.Ceremony
		pending, c = begin()
		for range 6 {
			_, err = w.SecondPasskey(t.Context(), pending, c.Ticket, nil, here)
		}
		w.refused(err, accounts.Wait)
		time.Sleep(time.Hour)
		pending, c = begin()
		time.Sleep(accounts.PendingTime)
		_, err = w.SecondPasskey(t.Context(), pending, c.Ticket, key.get(c, nil), here)
		w.refused(err, accounts.Wrong)
		time.Sleep(time.Hour)
		pending, c = begin()
		key.count = 0
		_, err = w.SecondPasskey(t.Context(), pending, c.Ticket, key.get(c, nil), here)
		w.refused(err, accounts.Wrong) // a copy
		_, err = w.ChallengePasskey(t.Context(), "nonsense")
		w.refused(err, accounts.Wrong)
	})
}

// TestPasskeyAdded shows by whom and how a passkey is added: in a session that was proved lately, of one's own, with an answer that
// fits, under a name.
func TestPasskeyAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("bert", access.Operator)
		anna, _ := w.login("anna")
		bert, _ := w.login("bert")
		key := newAuthenticator(t)
		c, err := w.StartPasskey(t.Context(), anna)
		w.ok(err)
		_, err = w.FinishPasskey(t.Context(), anna, c.Ticket, "", key.create(c))
		w.refused(err, accounts.Bad)
		_, err = w.FinishPasskey(t.Context(), anna, c.Ticket, "a\u202eb", key.create(c))
		w.refused(err, accounts.Bad)
		_, err = w.FinishPasskey(t.Context(), bert, c.Ticket, "stolen", key.create(c))
		w.refused(err, accounts.Bad)
		key.origin = "http://console.example.org:8443"
		_, err = w.FinishPasskey(t.Context(), anna, c.Ticket, "in clear", key.create(c))
		w.refused(err, accounts.Bad)
		key.origin = "https://console.example.org:8443"
		_, err = w.FinishPasskey(t.Context(), anna, c.Ticket, "x", []byte(`{"id":"x"}`))
		w.refused(err, accounts.Bad)
		_, err = w.FinishPasskey(t.Context(), anna, c.Ticket+"x", "x", key.create(c))
		w.refused(err, accounts.Bad)
		_, err = w.StartPasskey(t.Context(), access.Actor{Name: "anna", Role: access.Owner, Via: access.ByToken})
		w.refused(err, accounts.Forbidden)
		answer := key.create(c)
		_, err = w.FinishPasskey(t.Context(), anna, c.Ticket, "x", answer)
		w.ok(err)
		c, err = w.StartPasskey(t.Context(), bert)
		w.ok(err)
		_, err = w.FinishPasskey(t.Context(), bert, c.Ticket, "anna's", key.create(c))
		w.refused(err, accounts.Bad)
		time.Sleep(accounts.ProofTime)
		_, err = w.StartPasskey(t.Context(), bert)
		w.refused(err, accounts.Prove)
		_, err = w.DropPasskey(t.Context(), bert, key.id)
		w.refused(err, accounts.Prove)
		plain, err := accounts.New(accounts.Options{Store: w.store, Key: make([]byte, accounts.KeySize), Params: cheap})
		w.ok(err)
		who, _ := w.login("bert")
		_, err = plain.StartPasskey(t.Context(), who)
		w.refused(err, accounts.Conflict)
	})
}

func site() accounts.Site {
	return accounts.Site{Name: "console.example.org", Origins: []string{"https://console.example.org:8443"}}
}

// FuzzPasskey has a hostile browser answer, to a registration and to a login: nothing is added and nobody is let in.
func FuzzPasskey(f *testing.F) {
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA","authenticatorData":"AA","signature":"AA"}}`))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0","attestationObject":"o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YUA"}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		synctest.Test(t, func(t *testing.T) {
			w, _, who := withPasskey(t)
			c, err := w.StartPasskey(t.Context(), who)
			w.ok(err)
			_, err = w.FinishPasskey(t.Context(), who, c.Ticket, "x", answer)
			w.refused(err, accounts.Bad)
			step, err := w.Begin(t.Context(), "anna", good, here)
			w.ok(err)
			c, err = w.ChallengePasskey(t.Context(), step.Pending)
			w.ok(err)
			_, err = w.SecondPasskey(t.Context(), step.Pending, c.Ticket, answer, here)
			w.refused(err, accounts.Wrong)
		})
	})
}
