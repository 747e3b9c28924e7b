package accounts_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// keyLine is a public key as ssh-keygen writes it.
func keyLine(t *testing.T, public any, comment string) string {
	t.Helper()
	k, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) + " " + comment + "\n"
}

func newKeyLine(t *testing.T, comment string) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyLine(t, public, comment)
}

// rsaOf is a key of so many bits with which nobody can sign.
func rsaOf(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

// TestSSHKinds shows which keys are taken, and what is told of others.
func TestSSHKinds(t *testing.T) {
	w := newWorld(t)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	w.ok(err)
	plain := newKeyLine(t, "note book")
	old := ssh.Marshal(struct {
		Kind       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).Lsh(big.NewInt(1), 1023), new(big.Int).Lsh(big.NewInt(1), 159), big.NewInt(2), big.NewInt(3)})
	for _, c := range []struct{ name, text, want string }{
		{"", plain, ""},
		{"", plain, "has this key already"},
		{"", keyLine(t, &curve.PublicKey, "p384"), ""},
		{"", keyLine(t, rsaOf(3072), "rsa"), ""},
		{"a token", "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIFr7ZGlyl2x4kD5e3Xl1s2UXUMkUrqEb+9mrHh1mZWMDAAAABHNzaDo= x", ""},
		{"", keyLine(t, rsaOf(2048), "rsa"), "has 2048 bits"},
		{"", keyLine(t, rsaOf(8200), "rsa"), "has 8200 bits"},
		{"", "ssh-dss " + base64.StdEncoding.EncodeToString(old) + " dsa", `"ssh-dss" is not taken`},
		{"", newKeyLine(t, ""), "a key has a name"},
		{strings.Repeat("n", 65), newKeyLine(t, "x"), "a key has a name"},
		{"a\x1b[2Jb", newKeyLine(t, "x"), "a key has a name"},
		{"", `command="sh" ` + newKeyLine(t, "x"), "has options"},
		{"", newKeyLine(t, "x") + newKeyLine(t, "y"), "several lines"},
		{"", "-----BEGIN OPENSSH PRIVATE KEY-----", "private key"},
		{"", "ssh-ed25519 AAAA", "no public key"},
		{"", "", "no public key"},
		{"", strings.Repeat("a", 20<<10), "too long"},
	} {
		k, err := w.AddSSHKey(t.Context(), root, "Anna", c.name, c.text)
		if c.want == "" && (err != nil || k.Name == "" || !strings.HasPrefix(k.Fingerprint, "SHA256:")) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.60q: %+v, %v", c.text, k, err)
		}
	}
}

// TestSSHKeys shows who adds and removes whose key, that it wants a fresh proof, how many there are, and whom a key lets in.
func TestSSHKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("bert", access.Operator)
		w.add("carl", access.Operator)
		anna, _ := w.login("anna")
		bert, _ := w.login("bert")
		carl, _ := w.login("carl")
		first := newKeyLine(t, "first")
		k, err := w.AddSSHKey(t.Context(), bert, "bert", "", first)
		w.ok(err)
		_, err = w.AddSSHKey(t.Context(), carl, "bert", "", newKeyLine(t, "x"))
		w.refused(err, accounts.Forbidden)
		other, err := w.AddSSHKey(t.Context(), anna, "carl", "of an owner", first) // one person may be two users
		w.ok(err)
		_, err = w.AddSSHKey(t.Context(), anna, "nobody", "", first)
		w.refused(err, accounts.Missing)
		for _, via := range []access.Via{access.ByToken, access.BySSH} {
			by := bert
			by.Via = via
			_, err = w.AddSSHKey(t.Context(), by, "bert", "", newKeyLine(t, "x"))
			w.refused(err, accounts.Forbidden)
			_, _, err = w.AddToken(t.Context(), by, "bert", accounts.NewToken{Name: "x", Expires: time.Now().Add(time.Hour)})
			w.refused(err, accounts.Forbidden)
		}
		for i := range 9 {
			_, err = w.AddSSHKey(t.Context(), bert, "bert", fmt.Sprint("key ", i), newKeyLine(t, "x"))
			w.ok(err)
		}
		_, err = w.AddSSHKey(t.Context(), bert, "bert", "", newKeyLine(t, "x"))
		w.refused(err, accounts.Conflict)
		time.Sleep(accounts.ProofTime)
		_, err = w.AddSSHKey(t.Context(), carl, "carl", "", newKeyLine(t, "x"))
		w.refused(err, accounts.Prove)

		from := netip.MustParseAddr("192.0.2.9")
		enter := func(name string) error { _, _, err := w.FromSSHKey(t.Context(), name, k.Data, from); return err }
		who, got, err := w.FromSSHKey(t.Context(), "Bert", k.Data, from)
		w.ok(err)
		if who.Name != "bert" || who.Role != access.Operator || who.Via != access.BySSH || who.Address != from || got.ID != k.ID {
			t.Errorf("%+v, %+v", who, got)
		}
		w.ok(w.UsedSSHKey(t.Context(), got, from))
		list, err := w.SSHKeys(t.Context(), "bert")
		w.ok(err)
		i := slices.IndexFunc(list, func(x accounts.SSHKey) bool { return x.ID == k.ID })
		if len(list) != 10 || i < 0 || list[i].UsedFrom != "192.0.2.9" || list[i].Used.IsZero() {
			t.Errorf("%d, %+v", i, list)
		}
		for _, name := range []string{"anna", "nobody", "", "BERT x", strings.Repeat("b", 300)} {
			w.refused(enter(name), accounts.Wrong)
		}
		_, _, err = w.FromSSHKey(t.Context(), "bert", []byte("nonsense"), from)
		w.refused(err, accounts.Wrong)
		_, err = w.RemoveSSHKey(t.Context(), bert, other.ID)
		w.refused(err, accounts.Missing)
		_, err = w.RemoveSSHKey(t.Context(), root, other.ID)
		w.ok(err)
		_, _, err = w.Disable(t.Context(), root, "bert", true)
		w.ok(err)
		w.refused(enter("bert"), accounts.Wrong)
		_, _, err = w.Disable(t.Context(), root, "bert", false)
		w.ok(err)
		w.ok(enter("bert"))
		_, err = w.RemoveSSHKey(t.Context(), bert, k.ID)
		w.ok(err)
		w.refused(enter("bert"), accounts.Wrong)
	})
}
