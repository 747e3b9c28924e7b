package access

import (
	"context"
	"slices"
	"testing"
)

// TestRoles shows what the roles are made of: nobody but an owner makes users, an auditor changes nothing, whoever has only
// some domains has nothing that is of all, and the zero value may nothing.
func TestRoles(t *testing.T) {
	for _, right := range Rights() {
		if !Owner.Has(right) {
			t.Errorf("an owner may not %s", right)
		}
		for _, role := range Roles()[1:] {
			if role.Has(right) && slices.Contains([]Right{UsersChange, PrivacyChange, ApplianceChange}, right) {
				t.Errorf("%s may %s", role, right)
			}
			bounded := Actor{Role: role, Domains: []string{"example.org"}}
			if bounded.May(right) && !right.Bounded() {
				t.Errorf("%s of one domain may %s", role, right)
			}
			if !role.Has(right) && bounded.May(right) {
				t.Errorf("%s has %s by having fewer domains", role, right)
			}
		}
		if (&Actor{}).May(right) || Role("root").Has(right) {
			t.Errorf("nobody may %s", right)
		}
		if a := (Actor{Role: Owner, Rights: []Right{LogRead}}); a.May(right) != (right == LogRead) {
			t.Errorf("a token to read the log: %s %v", right, a.May(right))
		}
	}
	for _, right := range []Right{QuarantineView, QuarantineChange, QueueChange, ListsChange, SendersChange, PolicyDraft, PolicyPublish, SystemChange, AlarmsChange, BypassChange} {
		if Auditor.Has(right) {
			t.Errorf("an auditor may %s", right)
		}
	}
	if Owner.Has("log.*") || Right("").Known() {
		t.Error("what is no right is had")
	}
}

// TestSees shows that a domain bounds by its exact name, in any case, and that no domain of his own hides nothing.
func TestSees(t *testing.T) {
	a := Actor{Role: HelpDesk, Domains: []string{"example.org"}}
	for domain, want := range map[string]bool{"example.org": true, "Example.ORG": true, "sub.example.org": false, "badexample.org": false, "": false} {
		if a.Sees(domain) != want {
			t.Errorf("sees %q: %v", domain, !want)
		}
	}
	if !a.SeesAny("a@other.example", `"x@y"@example.org`) || a.SeesAny() || a.SeesAny("example.org@other.example") {
		t.Error("recipients")
	}
	if (&Actor{}).Sees("example.org") {
		t.Error("who is nobody sees a domain")
	}
	if all := (Actor{Role: Operator}); !all.Sees("example.org") || !all.SeesAny() {
		t.Error("who has all domains does not see one")
	}
}

// TestContext shows that nobody is behind a context to which nobody was noted.
func TestContext(t *testing.T) {
	if a := Of(context.Background()); a.Role != "" || a.May(Own) {
		t.Errorf("%+v", a)
	}
	if a := Of(With(context.Background(), Actor{Name: "anna", Role: Owner})); a.Name != "anna" || !a.May(UsersChange) {
		t.Errorf("%+v", a)
	}
}
