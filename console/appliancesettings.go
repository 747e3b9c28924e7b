package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Bounds of the form that sends a file for gatepost.toml. The operation has its own, and says so.
const (
	maxSettingsFile  = 256 << 10 // octets, with the fields
	settingsFileTime = time.Minute
)

const settingsPath = "/appliance/settings"

// settingsPages are those of gatepost.toml of the appliance.
func (c *Console) settingsPages(mux *http.ServeMux) {
	c.page(mux, "GET "+settingsPath, access.ApplianceChange, c.applianceSettings)
	c.page(mux, "POST "+settingsPath, access.ApplianceChange, c.applianceSettingsTry)
	c.page(mux, "POST "+settingsPath+"/confirm", access.ApplianceChange, c.applianceSettingsConfirm)
	c.upload(mux, "POST "+settingsPath+"/file", access.ApplianceChange, maxSettingsFile, settingsFileTime, c.applianceFilePut)
	c.page(mux, "POST "+settingsPath+"/remove", access.ApplianceChange, c.applianceFileRemove)
}

// tryBody is what the page shows: how it is, with what was typed and what is wrong with it.
type tryBody struct {
	*api.ApplianceSettings
	Typed    string
	Problems []string
	Files    []api.ApplianceFile
}

func (c *Console) tryBody(r *http.Request) (*tryBody, error) {
	got, err := ask[*api.ApplianceSettings](c, r, "appliance settings", nil)
	if err != nil {
		return nil, err
	}
	b := &tryBody{ApplianceSettings: got, Typed: got.Text}
	if got.None != "" {
		return b, nil
	}
	files, err := ask[*api.ApplianceFiles](c, r, "appliance file list", nil)
	if err == nil {
		b.Files = files.Files
	}
	return b, err
}

func (c *Console) applianceSettings(w http.ResponseWriter, r *http.Request) {
	if !c.offers("appliance settings") {
		c.nowhere(w, r)
		return
	}
	b, err := c.tryBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "appliancesettings", "Settings", b)
}

func (c *Console) applianceSettingsTry(w http.ResponseWriter, r *http.Request) {
	got, err := ask[*api.ApplianceSettings](c, r, "appliance settings try", posted(r, "text"))
	if err == nil {
		text := "It restarts, and tries them: open this page again in a minute or two, and keep them."
		if n := len(got.Warnings); n > 0 {
			text += fmt.Sprintf(" There are %d warnings, the first: %s", n, got.Warnings[0])
		}
		c.done(w, r, settingsPath, text)
		return
	}
	b, failed := c.tryBody(r)
	if failed != nil {
		c.failed(w, r, failed)
		return
	}
	b.Typed = r.PostForm.Get("text")
	if f, ok := errors.AsType[*control.Fault](err); ok && f.Status == http.StatusUnprocessableEntity {
		b.Problems = strings.Split(f.Message, "\n")
		err = &control.Fault{Status: f.Status, Field: f.Field, Message: "these settings cannot be used, and nothing was changed"}
	}
	c.again(w, r, "appliancesettings", "Settings", b, err)
}

func (c *Console) applianceSettingsConfirm(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.ApplianceSettings](c, r, "appliance settings confirm", nil); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, settingsPath, "The settings stay.")
}

// applianceFilePut hands a file on as it comes.
func (c *Console) applianceFilePut(r *http.Request, s *sent) http.HandlerFunc {
	got, err, name := (*api.ApplianceFiles)(nil), errNoFile(), strings.TrimSpace(s.Get("name"))
	if s.File != nil {
		got, err = ask[*api.ApplianceFiles](c, r.WithContext(control.WithBody(r.Context(), s.File)), "appliance file put", url.Values{"name": {name}})
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if err != nil {
			c.failed(w, r, err)
			return
		}
		text := got.Folder + name + " is kept."
		if got.Note != "" {
			text += " " + sentence(got.Note)
		}
		c.done(w, r, settingsPath, text)
	}
}

func (c *Console) applianceFileRemove(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Remove the file?", Text: "It is gone then: nobody can be shown what was in it.", Button: "Remove", Danger: true}) {
		return
	}
	if _, err := ask[*api.ApplianceFiles](c, r, "appliance file remove", posted(r, "name")); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, settingsPath, "The file is removed.")
}
