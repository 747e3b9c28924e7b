package console

import (
	"net/http"

	"gatepost/internal/api"
)

// settingsBody is what the page of settings shows.
type settingsBody struct {
	*api.Settings
	All bool // those that have their default, too
}

// Shown are the keys of a document that the page shows.
func (b *settingsBody) Shown(d api.SettingsOf) (out []api.Setting) {
	for _, k := range d.Keys {
		if b.All || k.Where != "" {
			out = append(out, k)
		}
	}
	return out
}

func (c *Console) settingsPage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("settings") {
		c.nowhere(w, r)
		return
	}
	s, err := ask[*api.Settings](c, r, "settings", nil)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "settings", "Settings", &settingsBody{s, r.URL.Query().Get("all") != ""})
}
