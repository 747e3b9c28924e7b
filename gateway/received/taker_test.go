package received

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dmarcreport"
	"gatepost/internal/unpack"
	"gatepost/internal/unpack/archive"
	formats "gatepost/internal/unpack/received"
	"gatepost/tls/tlsrpt"
)

// here opens in this process, or fails.
type here struct{ err error }

func (h here) Unpack(ctx context.Context, pieces []unpack.Piece) (unpack.Report, error) {
	if h.err != nil {
		return unpack.Report{}, h.err
	}
	w := unpack.NewWalk(ctx, unpack.Limits{Entries: 20, Depth: 3, Octets: 8 << 20, Object: 4 << 20}, func([]byte) string { return "" }, append(formats.Formats(), archive.Formats()...))
	for _, p := range pieces {
		content, err := io.ReadAll(p.Content)
		if err != nil {
			return unpack.Report{}, err
		}
		if err := w.Item(p.Item, content); errors.Is(err, unpack.ErrLimit) {
			break
		}
	}
	return w.Report(), nil
}

// kept is a store of the test.
type kept struct {
	all []Report
	err error
}

func (k *kept) Keep(_ context.Context, reports []Report) error {
	k.all = append(k.all, reports...)
	return k.err
}

func feedback(domain string) []byte {
	return (&dmarcreport.Feedback{Org: "r.example", ID: "7", Begin: time.Unix(1764115200, 0), End: time.Unix(1764201599, 0), Policy: dmarcreport.Published{Domain: domain},
		Records: []dmarcreport.Record{{Source: netip.MustParseAddr("192.0.2.1"), Count: 3, DKIM: true, HeaderFrom: domain}, {Source: netip.MustParseAddr("192.0.2.2"), Count: 2, HeaderFrom: domain}}}).XML(dmarcreport.RFC7489)
}

func about(domains ...string) []byte {
	r := &tlsrpt.Report{Organization: "s.example", ID: "8", Range: tlsrpt.DateRange{Start: time.Unix(1764115200, 0), End: time.Unix(1764201599, 0)}}
	for _, d := range domains {
		r.Policies = append(r.Policies, tlsrpt.PolicyReport{Policy: tlsrpt.Policy{Kind: tlsrpt.STS, Domain: d}, Summary: tlsrpt.Summary{Successful: 5, Failed: 1}})
	}
	return r.JSON()
}

func packed(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}

// letter is a message with one attachment beside its text.
func letter(kind, name string, content []byte) string {
	return "From: r@r.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nA report.\r\n--x\r\nContent-Type: " + kind +
		"\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(content) + "\r\n--x--\r\n"
}

func TestTake(t *testing.T) {
	crash := &unpack.Failure{Kind: unpack.Crashed, Err: errors.New("killed")}
	busy := &unpack.Failure{Kind: unpack.Busy, Err: errors.New("busy")}
	for name, c := range map[string]struct {
		text   string
		opener error
		store  error
		want   string // reports that are kept: kind, domain, good, bad
		reply  string // the beginning of a refusal
		result gateway.RelayResult
	}{
		"DMARC, packed":         {text: letter("application/gzip", "r.xml.gz", packed(feedback("served.example"))), want: "dmarc served.example 3 2", result: gateway.Delivered},
		"DMARC, plain":          {text: letter("text/xml", "r.xml", feedback("served.example")), want: "dmarc served.example 3 2", result: gateway.Delivered},
		"TLS, of two domains":   {text: letter("application/tlsrpt+gzip", "r.json.gz", packed(about("served.example", "too.example"))), want: "tls served.example 5 1, tls too.example 5 1", result: gateway.Delivered},
		"one of two is ours":    {text: letter("application/tlsrpt+json", "r.json", about("served.example", "not.test")), want: "tls served.example 5 1", result: gateway.Delivered},
		"of another's domain":   {text: letter("application/gzip", "r.xml.gz", packed(feedback("not.test"))), reply: "550 5.7.1 The report is about not.test, which is not served here", result: gateway.RefusedByHop},
		"the whole body":        {text: "From: r@r.example\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(packed(feedback("served.example"))) + "\r\n", want: "dmarc served.example 3 2", result: gateway.Delivered},
		"a letter":              {text: "From: a@b.example\r\nSubject: hello\r\n\r\nWhat is this address?\r\n", reply: "550 5.6.0 No DMARC aggregate report and no TLS report", result: gateway.RefusedByHop},
		"something else packed": {text: letter("application/gzip", "r.xml.gz", packed([]byte("<svg/>"))), reply: "550 5.6.0 No DMARC", result: gateway.RefusedByHop},
		"half a report":         {text: letter("text/xml", "r.xml", feedback("served.example")[:400]), reply: "550 5.6.0 The report cannot be read (dmarc-report", result: gateway.RefusedByHop},
		"a bomb":                {text: letter("application/gzip", "r.xml.gz", packed(append([]byte("<feedback>"), make([]byte, 9<<20)...))), reply: "554 5.6.0 The report cannot be read (it unpacks to too much)", result: gateway.RefusedByHop},
		"it kills its reader":   {text: letter("application/gzip", "r.xml.gz", packed(feedback("served.example"))), opener: crash, reply: "554 5.6.0 The report cannot be read (it makes its reader fail)", result: gateway.RefusedByHop},
		"no process is free":    {text: letter("application/gzip", "r.xml.gz", packed(feedback("served.example"))), opener: busy, reply: "451 4.3.0", result: gateway.DeferredByHop},
		"the disk is full":      {text: letter("application/gzip", "r.xml.gz", packed(feedback("served.example"))), store: errors.New("full"), want: "dmarc served.example 3 2", reply: "451 4.3.0", result: gateway.DeferredByHop},
		"nothing":               {text: "", reply: "550 5.6.0 No DMARC", result: gateway.RefusedByHop},
	} {
		store := &kept{err: c.store}
		taker := &Taker{Opener: here{c.opener}, Store: store, Serves: func(d string) bool { return strings.HasSuffix(d, ".example") }}
		r := taker.Take(context.Background(), &gateway.Delivery{ID: 7 << 20, From: gateway.Address{Text: "r@r.example"},
			Content: gateway.Content{Parts: []io.Reader{strings.NewReader(c.text)}, Size: int64(len(c.text))}})
		var got []string
		for _, k := range store.all {
			got = append(got, fmt.Sprintf("%s %s %d %d", k.Kind, k.Domain, k.Good, k.Bad))
			if k.From != "r@r.example" || k.Reference == "" || k.Received.IsZero() || len(k.Body) == 0 {
				t.Errorf("%s: %+v", name, k)
			}
		}
		if strings.Join(got, ", ") != c.want || r.Result != c.result || !strings.HasPrefix(r.Reply.String(), c.reply) || (c.reply == "") != r.Reply.IsZero() {
			t.Errorf("%s: kept %q, %s %q; want %q, %s %q", name, got, r.Result, r.Reply, c.want, c.result, c.reply)
		}
	}
	big := &gateway.Delivery{Content: gateway.Content{Size: MaxMessage + 1, Parts: []io.Reader{strings.NewReader("")}}}
	if r := (&Taker{}).Take(context.Background(), big); r.Reply.Code != 552 {
		t.Errorf("%+v", r)
	}
}
