package storetest

import (
	"fmt"
	"testing"

	"gatepost/internal/accounts"
)

func sshKey(n int, user string) accounts.SSHKey {
	return accounts.SSHKey{ID: fmt.Sprint("k", n), User: user, Name: "notebook", Kind: "ssh-ed25519", Fingerprint: "SHA256:same", Data: []byte{0, 1, 0xff}, Created: at(n)}
}

// sshKeys shows that a key is its user's, that another may have the same one, and that nobody has one twice.
func sshKeys(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	second := sshKey(3, "a1")
	second.Fingerprint = "SHA256:other"
	for _, k := range []accounts.SSHKey{sshKey(1, "a1"), sshKey(2, "b1"), second} {
		ok(t, s.PutSSHKey(ctx, k))
	}
	none(t, s.PutSSHKey(ctx, sshKey(4, "a1")))
	none(t, s.PutSSHKey(ctx, sshKey(5, "nobody")))
	got, u, err := s.SSHKey(ctx, "bert", "SHA256:same")
	ok(t, err)
	equal(t, got, sshKey(2, "b1"))
	equal(t, u, bert())
	for _, c := range [][2]string{{"bert", "SHA256:other"}, {"carl", "SHA256:same"}, {"", "SHA256:same"}} {
		_, _, err = s.SSHKey(ctx, c[0], c[1])
		none(t, err)
	}
	list, err := s.SSHKeys(ctx, "a1")
	ok(t, err)
	equal(t, list, []accounts.SSHKey{second, sshKey(1, "a1")})
	list, err = s.SSHKeys(ctx, "")
	ok(t, err)
	equal(t, len(list), 3)
	ok(t, s.TouchSSHKey(ctx, "k1", at(9), "192.0.2.9"))
	got, _, err = s.SSHKey(ctx, "anna", "SHA256:same")
	ok(t, err)
	equal(t, []any{got.Used, got.UsedFrom}, []any{at(9), "192.0.2.9"})
	for _, want := range []bool{true, false} {
		there, err := s.RemoveSSHKey(ctx, "k1")
		ok(t, err)
		equal(t, there, want)
	}
	_, _, err = s.SSHKey(ctx, "anna", "SHA256:same")
	none(t, err)
}
