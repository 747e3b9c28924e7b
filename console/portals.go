package console

import (
	"net/http"

	"gatepost/internal/access"
)

// portalPages are those about the portal of users.
func (c *Console) portalPages(mux *http.ServeMux) {
	c.page(mux, "GET /portal", access.QuarantineRead, c.portalPage)
	c.page(mux, "POST /portal/unlink", access.QuarantineChange, c.portalUnlink)
}

func (c *Console) portalPage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("portal links") {
		c.nowhere(w, r)
		return
	}
	of := r.URL.Query().Get("of")
	l := &listing{Title: "Users' portal", Note: "Addresses that users linked to their own: the owner sees what is held back for the address, and keeps its lists.", Ask: &asking{"/portal", "of", "Of an address", of}}
	c.listedPage(w, r, l, func() (section, error) {
		s, err := c.listSection(r, "Linked addresses", "None is linked.", "portal links", values("address", of, "limit", "500"))
		if actor := access.Of(r.Context()); err == nil && actor.May(access.QuarantineChange) {
			s.button("/portal/unlink", "id", "Remove")
		}
		return s, err
	})
}

func (c *Console) portalUnlink(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[any](c, r, "portal unlink", posted(r, "id")); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/portal", "The address is not linked any more. Both were told.")
}
