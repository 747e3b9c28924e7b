package control

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// sendTime is how long a client may take nothing of a File that is sent as it comes.
const sendTime = time.Minute

// Send answers with the file, as something to keep: no browser shows it. It closes From. What is cut off the client sees by the length.
func (f *File) Send(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Content-Disposition", `attachment; filename="`+plainName(f.Name)+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if f.From == nil {
		_, _ = w.Write(f.Data)
		return
	}
	defer f.From.Close()
	h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
	_, _ = io.CopyBuffer(&slowly{w, http.NewResponseController(w)}, io.LimitReader(f.From, f.Size), make([]byte, 256<<10))
}

// slowly writes to a client for as long as it takes some: the server's own limit is for answers that are small.
type slowly struct {
	w    io.Writer
	conn *http.ResponseController
}

func (s *slowly) Write(p []byte) (int, error) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(sendTime)) // where that cannot be set, the server's stands
	return s.w.Write(p)
}
