package user

import (
	"slices"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

const aKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0PKO7sfXpzO4k5aGgFmXo7V3ZtHrxfN9vCrRKzZFhW notebook"

// TestKeys shows what users ask about keys of SSH, of their own and of others, and what the audit log is told.
func TestKeys(t *testing.T) {
	w := newWorld(t)
	anna, bert := w.add("anna", "owner"), w.add("bert", "help-desk", "a.example")
	root := w.who
	w.audited = nil
	var k api.SSHKey
	w.ask("POST", "/ssh-keys", `{"key":"`+aKey+`"}`, 400, nil) // whose, the terminal of the machine must say
	w.ask("POST", "/ssh-keys", `{"user":"bert","key":"`+aKey+`","name":"desk"}`, 200, &k)
	if k.User != "bert" || k.Name != "desk" || k.Kind != "ssh-ed25519" || !strings.HasPrefix(k.Fingerprint, "SHA256:") {
		t.Errorf("%+v", k)
	}
	w.ask("POST", "/ssh-keys", `{"user":"bert","key":"nonsense"}`, 400, nil)
	var list api.SSHKeys
	for _, c := range []struct {
		who   access.Actor
		query string
		code  int
		n     int
	}{{root, "", 200, 1}, {bert, "", 200, 1}, {anna, "", 200, 0}, {anna, "?user=bert", 200, 1}, {anna, "?all=true", 200, 1}, {bert, "?user=anna", 403, 0}, {bert, "?all=true", 403, 0}} {
		w.who = c.who
		list = api.SSHKeys{}
		w.ask("GET", "/ssh-keys"+c.query, "", c.code, &list)
		if len(list.Keys) != c.n {
			t.Errorf("%s %s: %+v", c.who.Name, c.query, list)
		}
	}
	w.who = bert
	w.ask("DELETE", "/ssh-keys/nonsense", "", 404, nil)
	w.ask("DELETE", "/ssh-keys/"+k.ID, "", 200, &k)
	var told []string
	for _, e := range w.audited {
		if e.Error == "" {
			told = append(told, e.Actor.Name+" "+e.Operation+" "+e.Change.Object)
		}
	}
	if !slices.Equal(told, []string{root.Name + " ssh key add bert", "bert ssh key remove bert"}) {
		t.Errorf("%q", told)
	}
}
