package console

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// Bounds of a form that sends a file.
const (
	fieldsTime = 30 * time.Second // until its fields are here, which come before the file
	maxFields  = 16
	fileField  = "file"
)

// sent is a form with a file: its fields, and the file, which is read as it comes.
type sent struct {
	url.Values
	File io.Reader // of what was named last; nil where no file was chosen
}

// errNoFile is what somebody is told who chose none.
func errNoFile() error {
	return &control.Fault{Status: http.StatusBadRequest, Message: "no file was chosen", Hint: "choose one, and send the form again", Field: fileField}
}

// upload adds a form that sends a file, for whoever has a right: take reads the file as it comes, at most so many octets in all, and
// returns what answers. Nothing of the file is read before the token of the form was checked, and none of it is kept.
func (c *Console) upload(mux *http.ServeMux, pattern string, right access.Right, most int64, long time.Duration, take func(r *http.Request, s *sent) http.HandlerFunc) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r, token, ok := c.entered(w, r, right)
		if !ok {
			return
		}
		body, drain, err := control.Receive(w, http.MaxBytesReader(w, r.Body, most), long)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		answer := func() http.HandlerFunc {
			s, err := readSent(w, r, body, token)
			if err != nil {
				return func(w http.ResponseWriter, r *http.Request) { c.failed(w, r, err) }
			}
			defer c.board.forget()
			return take(r, s)
		}()
		drain()
		answer(w, r)
	})
}

// readSent reads the fields of a form up to its file.
func readSent(w http.ResponseWriter, r *http.Request, body io.Reader, token string) (*sent, error) {
	bad := func(text string) error { return &control.Fault{Status: http.StatusBadRequest, Message: text} }
	r.Body = io.NopCloser(body)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, bad("this form sends a file")
	}
	s := &sent{Values: url.Values{}}
	until, left := time.Now().Add(fieldsTime), int64(maxForm)
	for range maxFields {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return s, s.of(token)
		}
		if err != nil || time.Now().After(until) {
			return nil, bad("the form broke off")
		}
		if part.FormName() == fileField {
			if part.FileName() != "" {
				s.File = &sentFile{part}
			}
			return s, s.of(token)
		}
		text, err := io.ReadAll(io.LimitReader(part, left+1))
		if left -= int64(len(text)); err != nil || left < 0 {
			return nil, bad("the form broke off, or has too much in it")
		}
		s.Add(part.FormName(), string(text))
	}
	return nil, bad("the form has too many fields")
}

// of checks that a form is of the session with a token.
func (s *sent) of(token string) error {
	if !formTokenOK(token, s.Get(formField)) {
		return &control.Fault{Status: http.StatusForbidden, Message: "this form is of another session, and nothing was changed", Hint: "open the page again and repeat what you did"}
	}
	return nil
}

// sentFile words what kept a file from being read to its end.
type sentFile struct{ part *multipart.Part }

func (f *sentFile) Read(p []byte) (int, error) {
	n, err := f.part.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return n, err
	}
	return n, &control.Fault{Status: http.StatusBadRequest, Message: "the upload broke off: nothing of it is kept", Hint: "send it again"}
}
