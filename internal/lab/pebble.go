package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// PebbleOptions change a Pebble; the zero value asks for no binding, refuses no nonce and gives certificates for years.
type PebbleOptions struct {
	// DNS is the host:port of the name server that it asks about the names it verifies.
	DNS string
	// HTTP and TLS are the ports of 127.0.0.1 where it finds the answers to http-01 and tls-alpn-01; 0: none is verified so.
	HTTP, TLS int
	// Life is how long its certificates are good, in whole seconds; 0: its own default.
	Life time.Duration
	// Bindings are the keys of external accounts in base64url, by their ids; with any, an account needs one.
	Bindings map[string]string
	// RefuseNonces is how many of a hundred good nonces it refuses.
	RefuseNonces int
	// ReuseProofs is how many of a hundred orders find names proved that were proved before.
	ReuseProofs int
	// SlowProofs is for how many seconds at most it waits before it verifies, by chance; 0: not at all.
	SlowProofs int
	// Port is as in PostfixOptions.
	Port *Port
}

// Pebble is a private Pebble, the ACME server that Let's Encrypt tests clients with. It forgets everything when it ends.
type Pebble struct {
	*Process
	Directory string // URL
	Authority string // file in PEM that its own https verifies by

	manage string
}

// StartPebble starts a Pebble with its state in dir and waits until it answers. It verifies every challenge.
func StartPebble(ctx context.Context, dir string, o PebbleOptions) (*Pebble, error) {
	path, err := program("pebble", "pebble")
	if err != nil {
		return nil, err
	}
	who, err := ownerNamed("nobody")
	if err != nil {
		return nil, err
	}
	if err := who.makeDirs(dir); err != nil {
		return nil, err
	}
	p := &Pebble{Authority: filepath.Join(dir, "cert.pem")}
	key := filepath.Join(dir, "key.pem")
	if err := writeCertificate(p.Authority, key, "localhost"); err != nil {
		return nil, fmt.Errorf("pebble: %w", err)
	}
	if err := os.Chown(key, who.uid, who.gid); err != nil {
		return nil, fmt.Errorf("pebble: %w", err)
	}
	port, own, err := portOr(o.Port)
	if err != nil {
		return nil, err
	}
	manage, more, err := portOr(nil)
	if err != nil {
		release(own)
		return nil, err
	}
	own = append(own, more...)
	p.Directory, p.manage = "https://"+port.Addr()+"/dir", "https://"+manage.Addr()
	conf := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(conf, o.config(port.Addr(), manage.Addr(), p.Authority, key), 0o644); err != nil {
		release(own)
		return nil, fmt.Errorf("pebble: %w", err)
	}
	p.Process, err = start(command{name: "pebble", path: path, args: []string{"-config", conf, "-dnsserver", o.DNS, "-strict"}, dir: dir,
		owner: who, log: filepath.Join(dir, "pebble.log"), env: o.env(), ports: own})
	if err != nil {
		release(own)
		return nil, err
	}
	return p, p.awaitReady(ctx, func() bool { _, err := p.Root(ctx); return err == nil })
}

// config is its configuration file.
func (o *PebbleOptions) config(listen, manage, certificate, key string) []byte {
	c := map[string]any{"listenAddress": listen, "managementListenAddress": manage, "certificate": certificate, "privateKey": key,
		"httpPort": o.HTTP, "tlsPort": o.TLS, "externalAccountBindingRequired": len(o.Bindings) > 0}
	if o.Life > 0 {
		c["certificateValidityPeriod"] = int(o.Life / time.Second)
	}
	if len(o.Bindings) > 0 {
		c["externalAccountMACKeys"] = o.Bindings
	}
	text, err := json.Marshal(map[string]any{"pebble": c})
	if err != nil {
		panic(err) // texts and numbers
	}
	return text
}

func (o *PebbleOptions) env() []string {
	out := []string{"PEBBLE_WFE_NONCEREJECT=" + strconv.Itoa(o.RefuseNonces), "PEBBLE_AUTHZREUSE=" + strconv.Itoa(o.ReuseProofs)}
	if o.SlowProofs > 0 {
		return append(out, "PEBBLE_VA_SLEEPTIME="+strconv.Itoa(o.SlowProofs))
	}
	return append(out, "PEBBLE_VA_NOSLEEP=1")
}

// Root is the certificate that all it gives verify by.
func (p *Pebble) Root(ctx context.Context) (*x509.CertPool, error) {
	text, err := os.ReadFile(p.Authority)
	if err != nil {
		return nil, err
	}
	own := x509.NewCertPool()
	own.AppendCertsFromPEM(text)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: own}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.manage+"/roots/0", nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	root, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		return nil, fmt.Errorf("pebble: no root: %s", res.Status)
	}
	return pool, nil
}
