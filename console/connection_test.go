package console

import (
	"strings"
	"testing"
	"unicode/utf8"

	"gatepost/gateway"
)

// TestConnectionOfMail shows that a connection whose mail was refused is not counted as a second refusal, and that one which was
// refused before any mail is one.
func TestConnectionOfMail(t *testing.T) {
	mail, connection, alone := refused(5, "one@served.test"), refused(6), refused(90)
	mail.Record.Session = connection.Record.ID
	for _, e := range []*gateway.Event{connection, alone} {
		e.Kind, e.Record.From = gateway.ConnectionEvent, gateway.Address{}
	}
	connection.Session.Transactions = 1
	s := newSite(t, mail, connection, alone)
	has(t, s.ask("anna", "GET", "/log", nil), 200, "Rejected<b>2</b>", "Not accepted<b>2</b>", "All<b>3</b>", "Connection; its mail has lines of its own")
	has(t, s.ask("anna", "GET", "/log?verdict=rejected", nil), 200, "!"+connection.Record.ID.String(), mail.Record.ID.String(), alone.Record.ID.String())
}

// TestReplyReason reads why out of replies of ours, and nothing out of others.
func TestReplyReason(t *testing.T) {
	for reply, want := range map[string]string{
		"550 5.7.1 Refused: 192.0.2.9 is listed by zen (spam trap); see its site for why. Reference 1M8DZ-QVB10-0009": "192.0.2.9 is listed by zen (spam trap)",
		"550 5.7.1 Message refused: malware was found in it (Eicar-Test). Reference 1M8DZ-QVB10-0009":                 "Malware was found in it (Eicar-Test)",
		"550 5.7.1 Refused: é":              "É",
		"550 5.1.1 no such user":            "",
		"250 2.0.0 Refused: no":             "",
		"":                                  "",
		"550 5.7.1 Refused: ":               "",
		"550 5.7.1 Message refused as spam": "",
	} {
		if got := replyReason(reply); got != want {
			t.Errorf("%q: %q, want %q", reply, got, want)
		}
	}
}

// TestReasonText shows that every reason has words, whole ones, and what a few are.
func TestReasonText(t *testing.T) {
	for _, r := range gateway.Reasons() {
		if text := reasonText(r); text == "" || !utf8.ValidString(text) || strings.Contains(text, hole) || strings.Contains(text, "%") {
			t.Errorf("%s: %q", r, text)
		}
	}
	if got := reasonText(gateway.RBLListed); got != "Listed by …" {
		t.Error(got)
	}
	if got := reasonText(gateway.MalwareFound); got != "Malware was found in it" {
		t.Error(got)
	}
}
