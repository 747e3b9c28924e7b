package e2e

import (
	"net"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestConsolePasskey: a browser's own authenticator is registered, and asked at the next login, under the name that the console has; the
// pages of it are looked at.
func TestConsolePasskey(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	_, port, err := net.SplitHostPort(w.consoleAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	b := labtest.StartBrowser(t, lab.BrowserOptions{Base: "https://" + net.JoinHostPort(hostname, port)})
	w.owner(t)
	b.Step("login.enter", map[string]any{"name": ownerName, "password": operatorPassword}, nil)
	b.Step("account.app", nil, nil)
	b.Step("account.passkey", map[string]any{"name": ownerName, "password": operatorPassword}, nil)
}
