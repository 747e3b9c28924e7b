package quarantine

import (
	"net/url"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// narrow has a filter mean what its person does: of the recipient whom it names, only his copies are let go or erased, and those
// that went out before do not go out again.
func (a *keptDo) narrow(v url.Values) {
	if a.Verb != "release" && a.Verb != "delete" || a.To != "" {
		return
	}
	switch rcpt := v.Get("rcpt"); {
	case rcpt != "" && len(a.Rcpts) == 0:
		a.Rcpts = []string{rcpt}
	case rcpt == "" && len(a.Rcpts) == 1 && !v.Has("id"):
		v.Set("rcpt", a.Rcpts[0])
	}
	if !v.Has("id") && !v.Has("state") {
		if a.Verb == "release" || len(a.Rcpts) > 0 {
			v.Set("state", quarantine.Visible.String())
		}
	}
}

// addID adds a reference to what a filter picks.
func addID(v url.Values, text string) error {
	id, err := gateway.ParseID(text)
	if err == nil {
		v.Add("id", id.String())
	}
	return err
}
