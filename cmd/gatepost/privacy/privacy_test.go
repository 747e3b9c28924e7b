package privacy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// listed is a part that has so many records.
func listed(name string, n int, kept string) Part {
	p := Part{Name: name, Kept: kept, Find: func(_ context.Context, address string, add func(any) error) error {
		for i := range n {
			if err := add(fmt.Sprint(address, i)); err != nil {
				return err
			}
		}
		return nil
	}}
	if kept == "" {
		p.Erase = func(context.Context, string) (int, error) { return n, nil }
	}
	return p
}

// surface is the operations over parts, and what they tell the audit log.
func surface(parts ...Part) (*control.Surface, *[]control.Entry) {
	var noted []control.Entry
	d := &Desk{Parts: func() []Part { return parts }, Name: func(a string) string { return "~" + strings.ToUpper(a) }, Life: context.Background}
	return &control.Surface{Operations: d.Operations(), Audit: func(_ context.Context, e control.Entry) { noted = append(noted, e) }}, &noted
}

func ask(s *control.Surface, who access.Actor, name string, in any) (*api.PrivacyJob, error) {
	return controltest.Ask[*api.PrivacyJob](context.Background(), s, who, name, in)
}

// TestJob shows what an export and an erasure tell: each part in its order, the error of one and all others nevertheless, what stays
// and why; that an export has its records for a while and an erasure has none; and what the audit log gets.
func TestJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := access.Actor{Name: "olga", Role: access.Owner}
		broken := Part{Name: "broken", Find: func(context.Context, string, func(any) error) error { return errors.New("it is away") },
			Erase: func(context.Context, string) (int, error) { return 1, errors.New("it is away") }}
		s, noted := surface(listed("a", 2, ""), broken, listed("b", 3, "the law"), listed("big", maxRecords+5, ""))
		in := &api.PrivacyAsked{Address: " <anna@example.org> ", Reason: "ticket"}
		j, err := ask(s, owner, "privacy export", in)
		if err != nil || j.Running || len(j.Parts) != 4 || !j.Failed() || j.Parts[0].Found != 2 || j.Parts[0].Records != nil || j.Parts[1].Error != "it is away" || j.Parts[2].Kept != "the law" ||
			!j.Parts[3].More || j.Parts[3].Found != maxRecords || j.Name != "~ANNA@EXAMPLE.ORG" {
			t.Fatalf("%+v %v", j, err)
		}
		if j, err = ask(s, owner, "privacy result", &struct{}{}); err != nil || len(j.Parts[0].Records) != 2 || string(j.Parts[0].Records[1]) != `"anna@example.org1"` {
			t.Errorf("%+v %v", j, err)
		}
		time.Sleep(keepResult)
		synctest.Wait()
		if j, err = ask(s, owner, "privacy result", &struct{}{}); err != nil || j.Parts[0].Records != nil {
			t.Errorf("after a while: %+v %v", j, err)
		}
		if j, err = ask(s, owner, "privacy erase", in); err != nil || j.Parts[0].Erased != 2 || j.Parts[1].Erased != 1 || j.Parts[1].Error == "" || j.Parts[2].Erased != 0 || j.Parts[2].Found != 3 {
			t.Errorf("%+v %v", j, err)
		}
		for _, e := range *noted {
			if text := fmt.Sprintf("%+v", e); strings.Contains(text, "anna@") || e.Change.Object != j.Name {
				t.Errorf("the audit log: %s", text)
			}
		}
		if len(*noted) != 4 {
			t.Errorf("%d entries", len(*noted))
		}
		var b bytes.Buffer
		print(&b, j)
		for _, want := range []string{"ok   a                2 erased", "FAIL broken           1 erased, and then: it is away", "kept b                3: the law"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%q is not in %s", want, b.String())
			}
		}
		time.Sleep(2 * keepResult) // what forgets is over
	})
}

// TestOneAtATime shows that whoever asks does not wait for ever, that a second job is refused meanwhile, and that status tells how
// far the first is, without its records.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := access.Actor{Role: access.Owner}
		slow := Part{Name: "slow", Find: func(_ context.Context, _ string, add func(any) error) error {
			err := add(1)
			time.Sleep(time.Hour)
			return err
		}}
		s, _ := surface(listed("a", 1, ""), slow)
		in := &api.PrivacyAsked{Address: "anna@example.org"}
		began := time.Now()
		j, err := ask(s, owner, "privacy export", in)
		if err != nil || !j.Running || j.At != "slow" || len(j.Parts) != 1 || time.Since(began) != patience {
			t.Errorf("%+v %v", j, err)
		}
		for _, name := range []string{"privacy export", "privacy erase"} {
			_, err := ask(s, owner, name, in)
			if controltest.Status(err) != 409 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if j, err = ask(s, owner, "privacy result", &struct{}{}); err != nil || !j.Running || j.Parts[0].Records != nil {
			t.Errorf("%+v %v", j, err)
		}
		time.Sleep(time.Hour)
		if j, err = ask(s, owner, "privacy status", &struct{}{}); err != nil || j.Running || len(j.Parts) != 2 || j.Parts[0].Records != nil {
			t.Errorf("%+v %v", j, err)
		}
		time.Sleep(2 * keepResult)
	})
}

// TestRefused shows who may, and what is no address: nothing is begun by it.
func TestRefused(t *testing.T) {
	s, _ := surface(Part{Name: "never", Find: func(context.Context, string, func(any) error) error { t.Error("it was asked"); return nil }})
	in := &api.PrivacyAsked{Address: "anna@example.org"}
	for _, who := range []access.Actor{{}, {Role: access.Operator}, {Role: access.Auditor}, {Role: access.DomainAdmin}, {Role: access.Owner, Domains: []string{"example.org"}}, {Role: access.Owner, Rights: []access.Right{access.LogRead}}} {
		for _, name := range []string{"privacy export", "privacy erase"} {
			_, err := ask(s, who, name, in)
			if controltest.Status(err) != 403 {
				t.Errorf("%+v: %s: %v", who, name, err)
			}
		}
		for _, name := range []string{"privacy status", "privacy result"} {
			if _, err := ask(s, who, name, &struct{}{}); err == nil {
				t.Errorf("%+v: %s", who, name)
			}
		}
	}
	for _, address := range []string{"", "anna", "@example.org", "anna@", "*@example.org", "a b@example.org", "a@b\r\nc.example", strings.Repeat("a", 330) + "@b.example"} {
		_, err := ask(s, access.Actor{Role: access.Owner}, "privacy erase", &api.PrivacyAsked{Address: address})
		if controltest.Status(err) != 400 {
			t.Errorf("%q: %v", address, err)
		}
	}
	if j, err := ask(s, access.Actor{Role: access.Owner}, "privacy status", &struct{}{}); err != nil || j.What != "" || j.Running {
		t.Errorf("%+v %v", j, err)
	}
}
