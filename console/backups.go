package console

import (
	"net/http"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// backupPages are those of backups. A restore is none of them: it is made with the daemon stopped.
func (c *Console) backupPages(mux *http.ServeMux) {
	c.page(mux, "GET /backups", access.SystemRead, c.backupsPage)
	c.page(mux, "POST /backups", access.ApplianceChange, c.backupStart)
	c.page(mux, "POST /backups/fetch", access.ApplianceChange, c.backupFetch)
}

// backupsBody is what the page shows.
type backupsBody struct {
	*api.Backups
	now time.Time
}

// EveryText is how often one is made.
func (b *backupsBody) EveryText() string { return tookText(b.Every) }

// SizeText is a size, for people.
func (b *backupsBody) SizeText(octets int64) string { return gateway.ShowSize(octets) }

// Old reports whether a target has had no good backup for longer than two should take.
func (b *backupsBody) Old(t api.BackupTarget) bool {
	return b.Every > 0 && !t.Good.IsZero() && b.now.Sub(t.Good) > 2*b.Every
}

// AgeText is how old the last good backup of a target is.
func (b *backupsBody) AgeText(t api.BackupTarget) string {
	return b.now.Sub(t.Good).Truncate(time.Minute).String()
}

func (c *Console) backupsPage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("backup status") {
		c.nowhere(w, r)
		return
	}
	got, err := ask[*api.Backups](c, r, "backup status", nil)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "backups", "Backups", &backupsBody{got, time.Now()})
}

func (c *Console) backupStart(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.Backups](c, r, "backup start", nil); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/backups", "A backup is being made.")
}

func (c *Console) backupFetch(w http.ResponseWriter, r *http.Request) {
	f, err := ask[*control.File](c, r, "backup fetch", posted(r, "target", "name"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	f.Send(w)
}
