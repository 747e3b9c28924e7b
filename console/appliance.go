package console

import (
	"net/http"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Bounds of the form that sends an update. The operation has its own, and the helper of root looks at what it says of itself.
const (
	maxUpdate  = 9 << 30 // octets
	updateTime = 30 * time.Minute
)

// appliancePages are those of the version of the appliance.
func (c *Console) appliancePages(mux *http.ServeMux) {
	c.page(mux, "GET /appliance", access.SystemRead, c.appliancePage)
	c.upload(mux, "POST /appliance/update", access.ApplianceChange, maxUpdate, updateTime, c.applianceUpdate)
	c.networkPages(mux)
	c.settingsPages(mux)
	c.page(mux, "POST /appliance/rollback", access.ApplianceChange, c.applianceRollback)
	c.page(mux, "POST /appliance/restart", access.ApplianceChange, c.applianceRestart)
	c.page(mux, "POST /appliance/reset", access.ApplianceChange, c.applianceReset)
}

func (c *Console) appliancePage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("appliance status") {
		c.nowhere(w, r)
		return
	}
	got, err := ask[*api.Appliance](c, r, "appliance status", nil)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "appliance", "Appliance", got)
}

func (c *Console) applianceRollback(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Go back to the version before?", Text: "It is booted at the next restart, with its settings as they were when this version was applied; users, policy and audit log too, where this version changed their tables. Mail stays. This version is not booted again.", Button: "Go back", Danger: true}) {
		return
	}
	got, err := ask[*api.Appliance](c, r, "appliance rollback", nil)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/appliance", "Version "+got.Next+" is booted at the next restart.")
}

func (c *Console) applianceRestart(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Restart the appliance?", Text: "Sessions are let end first. Senders whose mail is not taken meanwhile try again.", Button: "Restart", Danger: true}) {
		return
	}
	if _, err := ask[*api.Appliance](c, r, "appliance restart", nil); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/appliance", "It restarts.")
}

// applianceReset erases it. The words that are typed are the question that others are asked.
func (c *Console) applianceReset(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.ApplianceErasing](c, r, "appliance reset", posted(r, "keep", "words")); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/appliance", "It restarts, and begins anew.")
}

// applianceUpdate hands the file of an update on as it comes: nothing of it is kept here. What refuses it is told after it was sent.
func (c *Console) applianceUpdate(r *http.Request, s *sent) http.HandlerFunc {
	got, err := (*api.Appliance)(nil), errNoFile()
	if s.File != nil {
		got, err = ask[*api.Appliance](c, r.WithContext(control.WithBody(r.Context(), s.File)), "appliance update", nil)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if err != nil {
			c.failed(w, r, err)
			return
		}
		c.done(w, r, "/appliance", "Version "+got.Next+" is booted at the next restart.")
	}
}
