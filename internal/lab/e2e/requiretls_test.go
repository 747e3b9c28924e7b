package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
)

// TestRequireTLSToTheEnd: a client, the program and a next hop, of which the first and the last are others' work: what was
// asked for by REQUIRETLS arrives with it, by SMTP and LMTP, and nothing arrives without. A daemon with a second route that
// cannot does not offer it.
func TestRequireTLSToTheEnd(t *testing.T) {
	t.Parallel()
	pair := keyPair(t)
	secure := &tls.Config{Certificates: []tls.Certificate{pair}}
	for _, c := range []struct {
		name              string
		offers, lmtp, two bool
		offered           bool // to the client
	}{
		{"SMTP", true, false, false, true},
		{"LMTP", true, true, false, true},
		{"the next hop cannot", false, false, false, false},
		{"another route cannot", true, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hop, err := lab.StartGoSMTPPeer(lab.GoSMTPOptions{TLS: secure, RequireTLS: c.offers, LMTP: c.lmtp})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(hop.Close)
			s := setup{clamav: "off", spamd: "off", trusted: `"127.0.0.0/8"`, policy: noGreylist,
				routes: []route{{name: "library", addr: hop.Addr(), lines: "protocol = \"" + map[bool]string{true: "lmtp", false: "smtp"}[c.lmtp] + "\""}}}
			if c.two {
				s.routes = append(s.routes, route{name: "other"})
			}
			w := newWorld(t, s)
			w.policy = strings.Replace(w.policy, "tls = \"none\"", fmt.Sprintf("tls = \"fingerprint\"\nfingerprints = [\"%x\"]", sha256.Sum256(pair.Certificate[0])), 1)
			w.start(t)
			ask := func(asked bool) error {
				_, err := lab.GoSMTPSend{From: "a@x.fresh.test", To: []string{"carla@library.test"}, Body: []byte("From: <a@x.fresh.test>\r\nSubject: x\r\n\r\nx\r\n"),
					TLS: &tls.Config{InsecureSkipVerify: true}, Mail: &smtp.MailOptions{RequireTLS: asked}}.Send(t.Context(), w.addr())
				return err
			}
			if err := ask(false); err != nil {
				t.Fatal(err)
			}
			err = ask(true)
			if !c.offered { // the client does not even try
				if err == nil || !strings.Contains(err.Error(), "server does not support REQUIRETLS") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			all, err := hop.Await(t.Context(), 2)
			if err != nil {
				t.Fatal(err)
			}
			if all[0].MailOptions.RequireTLS || !all[1].MailOptions.RequireTLS {
				t.Errorf("%+v, %+v", all[0].MailOptions, all[1].MailOptions)
			}
			w.awaitEvent(t, "transaction", "requiretls=true", "relay=delivered")
		})
	}
}
