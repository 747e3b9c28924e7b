package main

import (
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/spool"
)

// TestNoticeNamesWhomTheSenderNamed: an address that stands in for the one that was named is not told, in no place.
func TestNoticeNamesWhomTheSenderNamed(t *testing.T) {
	address := func(local string) gateway.Address {
		return gateway.Address{Text: local + "@our.example", Local: local, Domain: "our.example"}
	}
	to := &spool.FailedRcpt{NextHop: "mail:25", Reply: gateway.Reply{Code: 550, Enhanced: "5.1.1", Text: "<j.doe@our.example>: mailbox of j.doe@our.example is gone"},
		Recipient: gateway.Recipient{Address: address("j.doe"), Named: address("info")}}
	got := failedRcpt(to, nil, nil)
	if got.Final != "info@our.example" || strings.Contains(got.Said, "j.doe") || !strings.Contains(got.Said, "mailbox of info@our.example is gone") || got.Code != 550 {
		t.Errorf("%+v", got)
	}
	to.Named = gateway.Address{}
	if got := failedRcpt(to, nil, nil); got.Final != "j.doe@our.example" || !strings.Contains(got.Said, "mailbox of j.doe@our.example") {
		t.Errorf("%+v", got)
	}
}

// TestReturnable: of mail that was to go over verified TLS only as much is returned as its notice can keep to itself.
func TestReturnable(t *testing.T) {
	mail := func(asked bool) *spool.Failure {
		return &spool.Failure{Options: gateway.MailOptions{RequireTLS: asked, Return: "FULL"}}
	}
	for _, c := range []struct {
		asked, can bool
		want       int
	}{{false, false, 0}, {false, true, 0}, {true, true, 0}, {true, false, 2}} {
		if got := returnable(mail(c.asked), gateway.Carries{Known: true, RequireTLS: c.can}); len(got) != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
