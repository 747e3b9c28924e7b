package main

import (
	"bytes"
	"fmt"
	"time"

	"gatepost/internal/lab/mails"
	"gatepost/internal/lab/signer"
)

// keys sign the demo's mails; they are made anew each time.
type keys struct{ sender, senderEd, partner, list *signer.Key }

func newKeys() (*keys, error) {
	rsa, err := signer.RSA("sender.test", "rsa", 2048)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	ed, err := signer.Ed25519("sender.test", "ed")
	return &keys{sender: rsa, senderEd: ed, partner: rsa.For("partner.test", "mail"), list: rsa.For("list.test", "list")}, err
}

// records are the keys as zone text.
func (k *keys) records() string {
	return k.sender.Record() + k.senderEd.Record() + k.partner.Record() + k.list.Record()
}

// Titles of the mails that the demo tells more of.
const (
	titleSigned = "signed, RSA and Ed25519"
	titleSpoof  = "spoof of bank.test, p=reject"
)

// items are the mails about who really sent them. All come from the demo's one mail server, which is a forwarder and a
// mailing list to other domains. Dates begin at later.
func (k *keys) items(o mails.Options, later int) ([]item, error) {
	var out []item
	var failed error
	at := func(domain string) mails.Options {
		p := o
		p.Date, p.From = o.Date.Add(time.Duration(later+len(out))), "anna@"+domain
		return p
	}
	add := func(title, from string, m mails.Mail, want outcome, keys ...*signer.Key) *item {
		for _, key := range keys {
			if failed == nil {
				m.Body, failed = key.Sign(m.Body)
			}
		}
		m.Title, m.From = title, from
		out = append(out, item{title: title, mail: m, with: "swaks", want: &want})
		return &out[len(out)-1]
	}
	passes, refused := outcome{told: "250 ", got: unchanged}, outcome{told: "550 5.7.", got: nothing}
	add(titleSigned, "anna@sender.test", mails.ASCII(at("sender.test")), passes, k.sender, k.senderEd)
	add("forwarded, its signature holds", "anna@partner.test", mails.ASCII(at("partner.test")), passes, k.partner)
	// What fails DMARC by way of a list of which nothing is known yet is kept in quarantine.
	it := add("a list's, sealed (ARC)", "minutes-bounces@list.test", mails.ASCII(at("partner.test")), outcome{told: "250 ", got: nothing}, k.partner)
	if failed == nil { // the list puts a tag before the subject and a footer below, and seals what it saw
		body := bytes.Replace(it.mail.Body, []byte("Subject: "), []byte("List-Id: <minutes.list.test>\r\nSubject: [minutes] "), 1)
		body = append(body, "-- \r\nminutes@list.test\r\n"...)
		it.mail.Body, failed = k.list.Seal(body, "none", "dkim=pass header.d=partner.test; dmarc=pass header.from=partner.test")
	}
	add(titleSpoof, "anna@sender.test", mails.ASCII(at("bank.test")), refused)
	add("from a domain that sends no mail", "anna@nomail.test", mails.ASCII(at("nomail.test")), refused)
	return out, failed
}

// signedZones are the names of those mails. bank.test and partner.test want whatever is not theirs to be refused.
const signedZones = `
_dmarc.sender.test.        IN TXT "v=DMARC1; p=reject; adkim=s; aspf=s"
partner.test.              IN MX  10 mx.sender.test.
partner.test.              IN TXT "v=spf1 ip4:198.18.5.0/24 -all"
_dmarc.partner.test.       IN TXT "v=DMARC1; p=reject"
list.test.                 IN MX  10 mx.sender.test.
list.test.                 IN TXT "v=spf1 ip4:198.18.0.10 -all"
bank.test.                 IN MX  10 mx.sender.test.
bank.test.                 IN TXT "v=spf1 ip4:198.18.6.0/24 -all"
_dmarc.bank.test.          IN TXT "v=DMARC1; p=reject"
nomail.test.               IN MX  10 mx.sender.test.
nomail.test.               IN TXT "v=spf1 -all"
`
