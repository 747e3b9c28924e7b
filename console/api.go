package console

import (
	"net/http"

	"gatepost/internal/control"
)

// apiRoot is where programs ask.
const apiRoot = "/api/v1"

// api serves the operations to programs, and their description.
func (c *Console) api() http.Handler {
	s := &control.Surface{}
	if c.Surface != nil {
		*s = *c.Surface
	}
	s.Who, s.Inner = c.whoAsks, false
	s.Operations = append([]control.Operation{s.OpenAPI(apiRoot, c.versionText)}, s.Operations...)
	return s.Handler(apiRoot)
}

func (c *Console) versionText() string {
	if c.Frame == nil {
		return ""
	}
	return c.Options.Frame().Version
}
