// Package received reads reports about domains of ours that others send: DMARC aggregate reports (RFC 7489, RFC 9990) and
// reports about TLS (RFC 8460), as they come out of what packs them. It runs in the process that opens what mail carries, and
// only for mail to an address that takes such reports: no other XML or JSON is read.
package received

import (
	"bytes"
	"encoding/json"
	"fmt"

	"gatepost/internal/dmarcreport"
	"gatepost/internal/unpack"
	"gatepost/tls/tlsrpt"
)

// The formats, as Object.Format names them. Object.Data of the first is a dmarcreport.Feedback, of the second a
// tlsrpt.Report, in JSON.
const (
	DMARC = "dmarc-report"
	TLS   = "tls-report"
)

// MaxData is how large Object.Data becomes at most, in octets: a larger report is told as broken.
const MaxData = 32 << 20

// Formats are the two kinds of report.
func Formats() []unpack.Format { return []unpack.Format{aggregate{}, tls{}} }

type aggregate struct{}

func (aggregate) Name() string { return DMARC }

// Match looks for XML with the root element in its beginning.
func (aggregate) Match(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(text(head), []byte("<")) && bytes.Contains(head, []byte("feedback"))
}

func (aggregate) Open(w *unpack.Walk, at int, c unpack.Content) error {
	f, err := dmarcreport.Read(bytes.NewReader(c.Bytes()))
	if err != nil {
		return err
	}
	return keep(w, at, f)
}

type tls struct{}

func (tls) Name() string { return TLS }

func (tls) Match(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(text(head), []byte("{")) && bytes.Contains(head, []byte(`"policies"`)) || bytes.Contains(head, []byte(`"organization-name"`))
}

func (tls) Open(w *unpack.Walk, at int, c unpack.Content) error {
	r, err := tlsrpt.Read(bytes.NewReader(text(c.Bytes())))
	if err != nil {
		return err
	}
	return keep(w, at, r)
}

// text leaves out the mark of UTF-8 and white space that some begin with.
func text(b []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")
}

func keep(w *unpack.Walk, at int, report any) error {
	data, err := json.Marshal(report)
	if err != nil {
		return err
	}
	if len(data) > MaxData {
		return fmt.Errorf("report: more than %d octets", MaxData)
	}
	w.Object(at).Data = data
	return nil
}
