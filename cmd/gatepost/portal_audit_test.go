package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/internal/audit"
)

// audited has the audit log of a portal's daemon run; what is returned ends it, and says what is in it, the oldest first.
func audited(t *testing.T, u *portalUsers) func() []string {
	t.Helper()
	u.d.audit = audit.New(u.d.data.Audit(), "mx.example.org", t.TempDir(), u.d.log)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); u.d.audit.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return func() (out []string) {
		stop()
		<-ended
		rows, err := u.d.data.Audit().List(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range slices.Backward(rows) {
			if r.Via != "portal" {
				t.Errorf("by way of %q: %+v", r.Via, r)
			}
			out = append(out, strings.Join([]string{r.Actor, r.Operation, r.Object, r.Domain, r.Address, r.Asked, r.Before, r.After, r.Error}, "|"))
		}
		return out
	}
}

// TestPortalAudit: the audit log has what users of the portal do, under whose name and of which domain, and what they may not; it has
// nothing that changed nothing, and no token.
func TestPortalAudit(t *testing.T) {
	u, w := newUsers(t)
	const ann, info = "ann@example.org", "info@example.org"
	in := audited(t, u)
	u.Ask("Ann@example.org")
	_, link := mailed(t, u.asks)
	token := strings.TrimPrefix(link, "https://q.example.org/login/")
	session, _, ok := u.Enter(t.Context(), token)
	if _, _, again := u.Enter(t.Context(), token); !ok || again {
		t.Fatalf("entered: %v, again: %v", ok, again)
	}
	u.d.noteLogin(t.Context(), "directory", "CN=Ann", []string{ann, "ann@other.example"}, netip.MustParseAddr("192.0.2.1"))
	spam, malware := w.keep(t, w.ids.Next(), gateway.SpamScore, ann, info), w.keep(t, w.ids.Next(), gateway.MalwareFound, ann)
	for _, c := range []struct {
		address string
		id      gateway.ID
		want    portal.State
	}{{ann, malware, portal.Forbidden}, {info, spam, portal.Released}, {info, spam, portal.Released}, {ann, w.ids.Next(), portal.Gone}} {
		if got := u.Let(t.Context(), ann, c.address, c.id.String()).State; got != c.want {
			t.Errorf("%s to %s: %d, want %d", c.id, c.address, got, c.want)
		}
	}
	w.hop.reply = func() gateway.Relayed {
		return gateway.Relayed{Result: gateway.NotDelivered, At: gateway.AtDial, Said: "refused"}
	}
	if got := u.Let(t.Context(), ann, ann, spam.String()).State; got != portal.Failed {
		t.Errorf("nobody takes it: %d", got)
	}
	w.hop.reply = nil
	w.want(t, "by a link", w.token(spam, ann), portal.Released, 2)
	l := u.Lists()
	for _, c := range []struct {
		do           func(context.Context, string, string, string, string) portal.Fault
		kind, sender string
		want         portal.Fault
	}{{l.Put, "block", "Eve@Author.example", portal.Fine}, {l.Put, "block", "eve@author.example", portal.Fine}, {l.Put, "allow", "eve@author.example", portal.Fine}, {l.Put, "allow", "nonsense", portal.BadSender},
		{l.Remove, "block", "eve@author.example", portal.Fine}, {l.Remove, "allow", "eve@author.example", portal.Fine}, {l.Remove, "allow", "eve@author.example", portal.Fine}} {
		if got := c.do(t.Context(), ann, "INFO@example.org", c.kind, c.sender); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.kind, c.sender, got, c.want)
		}
	}
	want := []string{
		`ann@example.org|portal login|ann@example.org|example.org||||{"addresses":["ann@example.org"],"how":"a mailed link"}|`,
		`ann@example.org|portal login|ann@example.org||192.0.2.1|||{"addresses":["ann@example.org","ann@other.example"],"how":"directory","name":"CN=Ann"}|`,
		fmt.Sprintf(`ann@example.org|quarantine release|%s|example.org||{"by":"the portal","to":"ann@example.org"}|||users may not release it`, malware),
		fmt.Sprintf(`ann@example.org|quarantine release|%s|example.org||{"by":"the portal","to":"info@example.org"}|{"info@example.org":"visible"}|{"info@example.org":"released"}|`, spam),
		fmt.Sprintf(`ann@example.org|quarantine release|%s|example.org||{"by":"the portal","to":"ann@example.org"}|||it was not released`, spam),
		fmt.Sprintf(`ann@example.org|quarantine release|%s|example.org||{"by":"a link","to":"ann@example.org"}|{"ann@example.org":"visible"}|{"ann@example.org":"released"}|`, spam),
		`ann@example.org|portal list add|info@example.org|example.org||||{"block":"eve@author.example"}|`,
		`ann@example.org|portal list add|info@example.org|example.org|||{"block":"eve@author.example"}|{"allow":"eve@author.example"}|`,
		`ann@example.org|portal list remove|info@example.org|example.org|||{"allow":"eve@author.example"}||`,
	}
	got := in()
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("the audit log has\n%s\nwant\n%s", a, b)
	}
	if all := strings.Join(got, "\n"); token == "" || session == "" || strings.Contains(all, token) || strings.Contains(all, session) {
		t.Errorf("a token is in it, or there was none:\n%s", all)
	}
}
