package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/cli"
)

// keyPair writes a certificate for these uses, good until a time, and its key; it returns their paths.
func keyPair(t *testing.T, until time.Time, uses ...x509.ExtKeyUsage) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-100 * time.Hour), NotAfter: until, ExtKeyUsage: uses}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return file(t, dir, "client.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644),
		file(t, dir, "client.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), 0o600)
}

func file(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// What proves who we are is read at the load: what cannot be used is refused where it is named, what is not well is told.
func TestCredentials(t *testing.T) {
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	secrets := t.TempDir()
	good := file(t, secrets, "good", "hunter2\nnotes\n", 0o600)
	open := file(t, secrets, "open", "hunter2\n", 0o644)
	empty := file(t, secrets, "empty", "\nhunter2\n", 0o600)
	client, clientKey := keyPair(t, later, x509.ExtKeyUsageClientAuth)
	anything, anythingKey := keyPair(t, later)
	server, serverKey := keyPair(t, later, x509.ExtKeyUsageServerAuth)
	expired, expiredKey := keyPair(t, past, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	auth := func(name string) string { return "auth.user = \"gate\"\nauth.password_file = \"" + name + "\"\n" }
	shows := func(certificate, key string) string {
		return "client_certificate = \"" + certificate + "\"\nclient_key = \"" + key + "\"\n"
	}
	for _, tt := range []struct {
		name, keys string
		code       int
		err        string // "": nothing but that it can be used
	}{
		{"password", auth(good), cli.Done, ""},
		{"password that others can read", auth(open), cli.Done, "policy.toml:10:6: warning: route[in].auth.password_file: " + open + " can be read by everybody on this machine; chmod o= "},
		{"no password", auth(empty), cli.Found, "its first line is empty"},
		{"no file", auth(filepath.Join(secrets, "none")), cli.Found, "route[in].auth.password_file: open "},
		{"for clients", shows(client, clientKey), cli.Done, ""},
		{"for anything", shows(anything, anythingKey), cli.Done, ""},
		{"for servers", shows(server, serverKey), cli.Found, "route[in].client_certificate: is for other uses than that of a TLS client"},
		{"another's key", shows(client, serverKey), cli.Found, "private key does not match public key"},
		{"no certificate", shows(good, clientKey), cli.Found, "failed to find any PEM data"},
		{"expired", shows(expired, expiredKey), cli.Done, "warning: route[in].client_certificate: expired on " + past.Format(time.DateOnly)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := documents(t, "", strings.Replace(servesOne, "name = \"in\"\n[[", "name = \"in\"\ntls = \"required\"\nserver_name = \"in.example.org\"\n\n"+tt.keys+"[[", 1))
			code, out, errOut := gatepost(t, "check", "--config", dir)
			if code != tt.code || tt.err == "" && strings.Count(errOut, "\n") > 1 {
				t.Errorf("exit %d: %s", code, errOut)
			}
			if i := strings.Index(tt.err, ":10:6:"); i >= 0 {
				tt.err = tt.err[i+len(":10:6:"):] // the line is the document's business
			}
			if !strings.Contains(errOut, tt.err) || strings.Contains(errOut+out, "hunter2") {
				t.Errorf("want %q: %s", tt.err, errOut)
			}
			for _, args := range [][]string{{"config", "print"}, {"policy", "print"}} {
				if _, out, errOut := gatepost(t, append(args, "--config", dir)...); strings.Contains(out+errOut, "hunter2") {
					t.Errorf("%q shows the password", args)
				}
			}
		})
	}
}
