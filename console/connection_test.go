package console

import (
	"testing"

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
	s := newSite(t, mail, connection, alone)
	has(t, s.ask("anna", "GET", "/log", nil), 200, "Rejected<b>2</b>", "Not accepted<b>2</b>", "All<b>3</b>", "Connection; its mail has lines of its own")
	has(t, s.ask("anna", "GET", "/log?verdict=rejected", nil), 200, "!"+connection.Record.ID.String(), mail.Record.ID.String(), alone.Record.ID.String())
}
