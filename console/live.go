package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"gatepost/internal/api"
	"gatepost/internal/control"
)

// liveLog sends rows of the table to a page, as server-sent events. It ends with the session.
func (c *Console) liveLog(w http.ResponseWriter, r *http.Request) {
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f, ticks, may := readFilter(r.URL.Query()), c.ticks(), c.mayAct(r)
	out, err := control.OpenStream(r.Context(), w, func() bool {
		_, _, err := c.who(r)
		return err == nil
	})
	if err != nil {
		return
	}
	defer out.Close()
	err = c.Surface.Follow(out.Context(), "log follow", values("q", f.Text, "verdict", f.Verdict, "Last-Event-ID", r.Header.Get("Last-Event-ID")), func(id, event string, data any) error {
		switch x := data.(type) {
		case api.LogRow:
			text, err := c.rowText(rowView{&Row{x}, ticks, may})
			if err != nil {
				return err
			}
			return out.Send(x.ID.String(), "row", string(text))
		case api.LogSkipped:
			return out.Send("", "skipped", strconv.Itoa(x.Rows))
		}
		return nil
	})
	if err != nil && out.Context().Err() == nil && c.Logger != nil {
		c.Logger.Debug("console: a live view ended", "error", err)
	}
}

// rowText is a row of the table, as a string of JSON: in one line.
func (c *Console) rowText(r rowView) ([]byte, error) {
	var b bytes.Buffer
	if err := c.templates["log"].ExecuteTemplate(&b, "tablerow", r); err != nil {
		return nil, err
	}
	return json.Marshal(b.String())
}

// rowView is what the template of a row gets.
type rowView struct {
	*Row
	Ticks thresholds
	may   bool // list what it shows
}

// Menu is what can be done about it.
func (r rowView) Menu() *actMenu {
	return menuOf(r.may, "act-"+r.ID.String(), r.ID, r.Client, r.From, r.HeaderFrom)
}

// Views are the rows of the table.
func (v *logView) Views() []rowView {
	out := make([]rowView, len(v.Found.Rows))
	for i := range out {
		out[i] = rowView{&Row{v.Found.Rows[i]}, v.Ticks, v.may}
	}
	return out
}
