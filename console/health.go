package console

import (
	"net/http"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// healthPages are those of the state of servers and parts.
func (c *Console) healthPages(mux *http.ServeMux) {
	c.page(mux, "GET /health", access.StatusRead, c.healthPage)
}

func (c *Console) healthPage(w http.ResponseWriter, r *http.Request) {
	s, err := ask[*api.Status](c, r, "status", nil)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "health", "Health", s)
}
