package console

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Bounds of the form that sends a backup; the operation takes no more than the disk has room for.
const (
	maxBackup   = 1<<40 + 1<<20 // octets
	restoreTime = 6 * time.Hour
)

const restoreTitle = "Set up: restore a backup"

// restorePages take a backup in the first run, in place of its steps.
func (c *Console) restorePages(mux *http.ServeMux) {
	c.page(mux, "GET /begin/restore", access.ApplianceChange, c.restorable(c.restorePage))
	c.page(mux, "GET /begin/restore/{what}", access.ApplianceChange, c.restorable(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/begin/restore", http.StatusSeeOther) // whoever loads what a form was answered with, and the script
	}))
	c.upload(mux, "POST /begin/restore", access.ApplianceChange, maxBackup, restoreTime, c.restoreUpload)
	c.upload(mux, "POST /begin/restore/key", access.ApplianceChange, maxForm, restoreTime, c.restoreKey)
	c.page(mux, "POST /begin/restore/start", access.ApplianceChange, c.restorable(c.restoreStart))
	c.page(mux, "POST /begin/restore/discard", access.ApplianceChange, c.restorable(c.restoreDiscard))
}

// restorable shows nothing of it once the first run is over, or where the daemon takes none.
func (c *Console) restorable(show http.HandlerFunc) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.setUp() || !c.offers("restore status") {
			c.nowhere(w, r)
			return
		}
		show(w, r)
	}
}

func (c *Console) restorePage(w http.ResponseWriter, r *http.Request) { c.showRestore(w, r, nil) }

// showRestore shows what was uploaded and how far it is, with what was wrong.
func (c *Console) showRestore(w http.ResponseWriter, r *http.Request, wrong error) {
	got, err := ask[*api.Restore](c, r, "restore status", nil)
	switch {
	case err != nil:
		c.failed(w, r, err)
	case wrong != nil:
		c.again(w, r, "restore", restoreTitle, got, wrong)
	default:
		c.show(w, r, http.StatusOK, "restore", restoreTitle, got)
	}
}

// restoreUpload keeps the file, and has it read in full by the key that came with it.
func (c *Console) restoreUpload(r *http.Request, s *sent) http.HandlerFunc {
	key, err := keyOf(s)
	if err == nil && s.File == nil {
		err = errNoFile()
	}
	if err == nil {
		size := strconv.FormatInt(max(r.ContentLength, 0), 10) // a little more than the file has
		_, err = ask[*api.Restore](c, r.WithContext(control.WithBody(r.Context(), s.File)), "restore upload", url.Values{"size": {size}})
	}
	return c.verifiedBy(r, key, err)
}

// restoreKey gives another key for the file that is here.
func (c *Console) restoreKey(r *http.Request, s *sent) http.HandlerFunc {
	key, err := keyOf(s)
	return c.verifiedBy(r, key, err)
}

func (c *Console) verifiedBy(r *http.Request, key string, err error) http.HandlerFunc {
	if err == nil {
		_, err = ask[*api.Restore](c, r, "restore verify", url.Values{"key": {key}})
	}
	return c.restorable(func(w http.ResponseWriter, r *http.Request) {
		if err != nil {
			c.showRestore(w, r, err)
			return
		}
		http.Redirect(w, r, "/begin/restore", http.StatusSeeOther)
	})
}

// keyOf is the key that came with a form: of a file, or else as it was typed.
func keyOf(s *sent) (string, error) {
	key := cmp.Or(strings.TrimSpace(s.Get("keyfile")), s.Get("key"))
	if key == "" {
		return "", &control.Fault{Status: http.StatusBadRequest, Message: "the key is missing", Hint: "paste the private key or the passphrase, or choose its file", Field: "key"}
	}
	return key, nil
}

func (c *Console) restoreStart(w http.ResponseWriter, r *http.Request) {
	got, err := ask[*api.Restore](c, r, "restore start", nil)
	if err != nil {
		c.showRestore(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "restore", restoreTitle, got)
}

func (c *Console) restoreDiscard(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.Restore](c, r, "restore discard", nil); err != nil {
		c.showRestore(w, r, err)
		return
	}
	c.done(w, r, "/begin/restore", "The backup was thrown away.")
}
