package console

import (
	"net/http"
	"net/url"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// auditView is part of the audit log, or the check of its chain.
type auditView struct {
	*api.AuditList
	Ask    url.Values
	Report *api.AuditReport
	Export string // where all that is asked for can be had as a file; "" for nowhere
}

// auditPages are those of the audit log.
func (c *Console) auditPages(mux *http.ServeMux) {
	c.page(mux, "GET /audit", access.AuditRead, c.auditPage)
}

func (c *Console) auditPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := &auditView{Ask: values("actor", q.Get("actor"), "operation", q.Get("operation"), "object", q.Get("object"), "domain", q.Get("domain"))}
	var err error
	if v.AuditList, err = ask[*api.AuditList](c, r, "audit list", with(v.Ask, "cursor", q.Get("cursor"))); err != nil {
		c.failed(w, r, err)
		return
	}
	if c.offers("audit export") {
		v.Export = "/api/v1/audit/export?" + v.Ask.Encode()
	}
	if q.Get("verify") != "" {
		if v.Report, err = ask[*api.AuditReport](c, r, "audit verify", nil); err != nil {
			c.failed(w, r, err)
			return
		}
	}
	c.show(w, r, http.StatusOK, "audit", "Audit log", v)
}
