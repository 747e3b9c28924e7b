package icap_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gatepost/internal/icap"
	"gatepost/internal/lab/labtest"
)

const (
	options = "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nService: fake\r\nISTag: \"v1\"\r\nOptions-TTL: 3600\r\nAllow: 204\r\n"
	body    = "a body of some octets"
)

// fake answers OPTIONS (with the fields added) and each other request, when it is whole, with the text; "" closes.
func fake(t testing.TB, fields, answer string) string {
	return labtest.Server(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			first, err := r.ReadString('\n')
			if err != nil {
				return
			}
			preview := false
			for line := ""; line != "\r\n"; {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
				preview = preview || strings.HasPrefix(line, "Preview: ")
			}
			if strings.HasPrefix(first, "OPTIONS") {
				_, _ = io.WriteString(c, options+fields+"\r\n")
				continue
			}
			for line := ""; !strings.HasPrefix(line, "0"); { // the last chunk of all that comes at first
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			_, _ = r.ReadString('\n')
			if answer == "" {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

func reply(status, fields, http, content string) string {
	if http == "" {
		return "ICAP/1.0 " + status + "\r\n" + fields + "Encapsulated: null-body=0\r\n\r\n"
	}
	head := "HTTP/1.1 " + http + "\r\nX: y\r\n\r\n"
	return "ICAP/1.0 " + status + "\r\n" + fields + "Encapsulated: res-hdr=0, res-body=" + itoa(len(head)) + "\r\n\r\n" + head + hexa(len(content)) + "\r\n" + content + "\r\n0\r\n\r\n"
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func hexa(n int) string {
	const digits = "0123456789abcdef"
	if n < 16 {
		return digits[n : n+1]
	}
	return hexa(n/16) + hexa(n%16)
}

func TestVerdicts(t *testing.T) {
	for name, tc := range map[string]struct {
		fields, answer string
		kind           icap.Kind
		found, how     string
	}{
		"204":              {"", reply("204 No", "", "", ""), icap.Clean, "", "204"},
		"bare 204":         {"", "ICAP/1.0 204 No\r\n\r\n", icap.Clean, "", "204"},
		"204 to a preview": {"Preview: 4\r\n", reply("204 No", "", "", ""), icap.Clean, "", "204 to the first 4 octets"},
		"unchanged":        {"", reply("200 OK", "", "200 OK", body), icap.Clean, "", "unchanged"},
		"found":            {"", reply("200 OK", "X-Infection-Found: Type=0; Resolution=2; Threat=Eicar;\r\n", "403 No", "go away"), icap.Infected, "Eicar", "X-Infection-Found"},
		"found, 204":       {"", reply("204 No", "X-Infection-Found: Type=0; Threat=Eicar\r\n", "", ""), icap.Infected, "Eicar", "X-Infection-Found"},
		"found, unchanged": {"", reply("200 OK", "X-Virus-ID: Eicar\r\n", "200 OK", body), icap.Infected, "Eicar", "X-Virus-ID"},
		"found, cut off":   {"", strings.TrimSuffix(reply("200 OK", "X-Virus-ID: Eicar\r\n", "403 No", "go away"), "go away\r\n0\r\n\r\n") + "\r\n", icap.Infected, "Eicar", "X-Virus-ID"},
		"violations":       {"", reply("200 OK", "X-Violations-Found: 1\r\n\tx.com\r\n\tEicar\r\n\t0\r\n\t0\r\n", "403 No", "go away"), icap.Infected, "Eicar", "X-Violations-Found"},
		"no violations":    {"", reply("204 No", "X-Violations-Found: 0\r\n", "", ""), icap.Clean, "", "204"},
		"a page":           {"", reply("200 OK", "", "403 No", body), icap.Blocked, "", "status 403"},
		"changed":          {"", reply("200 OK", "", "200 OK", "A body of some octets"), icap.Blocked, "", "changed"},
		"longer":           {"", reply("200 OK", "", "200 OK", body+"x"), icap.Blocked, "", "changed"},
		"shorter":          {"", reply("200 OK", "", "200 OK", body[1:]), icap.Blocked, "", "changed"},
		"206":              {"", reply("206 Partial", "", "200 OK", body), icap.Blocked, "", "changed"},
		"no body":          {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", icap.Blocked, "", "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, icap.Config{Address: fake(t, tc.fields, tc.answer), Service: "x"})
			r, err := c.Scan(t.Context(), content([]byte(body)))
			if err != nil || r.Kind != tc.kind || r.Found != tc.found || r.How != tc.how || r.ISTag != "v1" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// What is broken, slow, huge or hostile is never a verdict.
func TestFaults(t *testing.T) {
	for name, tc := range map[string][2]string{
		"closes":                {"", ""},
		"garbage":               {"", "HTTP/1.1 200 OK\r\n\r\n"},
		"half a head":           {"", "ICAP/1.0 204 No\r\nEncaps"},
		"bare LF":               {"", "ICAP/1.0 204 No\n\n"},
		"long line":             {"", "ICAP/1.0 204 No\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n"},
		"many lines":            {"", "ICAP/1.0 204 No\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n"},
		"no field":              {"", "ICAP/1.0 204 No\r\nhello\r\n\r\n"},
		"fold first":            {"", "ICAP/1.0 204 No\r\n x\r\n\r\n"},
		"error":                 {"", "ICAP/1.0 500 No\r\n\r\n"},
		"busy":                  {"", "ICAP/1.0 503 No\r\n\r\n"},
		"100 without a preview": {"", "ICAP/1.0 100 Go on\r\n\r\n"},
		"100 after all":         {"Preview: 1024\r\n", "ICAP/1.0 100 Go on\r\n\r\n"},
		"204 with content":      {"", "ICAP/1.0 204 No\r\nEncapsulated: res-hdr=0, res-body=4\r\n\r\nabcd0\r\n\r\n"},
		"places, no body":       {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0\r\n\r\n"},
		"places backwards":      {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=5, res-body=0\r\n\r\n"},
		"places, huge":          {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=99999999\r\n\r\n"},
		"places, negative":      {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=-1\r\n\r\n"},
		"places, unknown":       {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, x=1\r\n\r\n"},
		"places twice":          {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\nEncapsulated: null-body=0\r\n\r\n"},
		"cut header":            {"", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=100\r\n\r\nHTTP/1.1 200 OK\r\n"},
		"odd status":            {"", reply("200 OK", "", "x", body)},
		"chunk, no number":      {"", strings.Replace(reply("200 OK", "", "200 OK", body), "15\r\n", "\r\n", 1)},
		"chunk, sign":           {"", strings.Replace(reply("200 OK", "", "200 OK", body), "15\r\n", "+15\r\n", 1)},
		"chunk, 0x":             {"", strings.Replace(reply("200 OK", "", "200 OK", body), "15\r\n", "0x15\r\n", 1)},
		"chunk, short":          {"", strings.Replace(reply("200 OK", "", "200 OK", body), "15\r\n", "14\r\n", 1)},
		"chunk, huge":           {"", strings.Replace(reply("200 OK", "", "200 OK", body), "15\r\n", "7fffffff\r\n", 1)},
		"no end":                {"", strings.TrimSuffix(reply("200 OK", "", "200 OK", body), "0\r\n\r\n")},
		"trailer":               {"", strings.TrimSuffix(reply("200 OK", "", "200 OK", body), "\r\n") + strings.Repeat("X: y\r\n", 100)},
		"options, no method":    {"Methods: REQMOD\r\n", reply("204 No", "", "", "")},
		"options, odd preview":  {"Preview: -1\r\n", reply("204 No", "", "", "")},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, icap.Config{Address: fake(t, tc[0], tc[1]), Service: "x", Timeout: time.Second})
			r, err := c.Scan(t.Context(), content([]byte(body)))
			if err == nil || r.Kind != icap.NoVerdict || !icap.Blames(err) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A kept connection that the server closed meanwhile is replaced; one that broke within an answer is not.
func TestKept(t *testing.T) {
	served := make(chan bool, 10)
	c := client(t, icap.Config{Service: "x", Address: labtest.Server(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for scans := 0; scans < 1; {
			first, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(first, "OPTIONS") {
				_, _ = io.WriteString(c, options+"\r\n")
			}
			if first == "0\r\n" {
				scans++
				served <- true
				_, _ = io.WriteString(c, "ICAP/1.0 204 No\r\n\r\n")
			}
		}
	})})
	for range 3 {
		if r, err := c.Scan(t.Context(), content([]byte(body))); err != nil || r.Kind != icap.Clean {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if len(served) != 3 {
		t.Errorf("%d scans", len(served))
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk") }

func TestBlame(t *testing.T) {
	c := client(t, icap.Config{Address: fake(t, "", reply("204 No", "", "", "")), Service: "x", MaxSize: 100})
	if _, err := c.Scan(t.Context(), icap.Content{Data: broken{}, Size: 101}); !errors.Is(err, icap.ErrTooBig) || icap.Blames(err) {
		t.Errorf("too big: %v", err)
	}
	if _, err := c.Scan(t.Context(), icap.Content{Data: broken{}, Size: 10}); !errors.Is(err, icap.ErrSource) || icap.Blames(err) {
		t.Errorf("unreadable: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Scan(ctx, content(nil)); !errors.Is(err, context.Canceled) || icap.Blames(err) {
		t.Errorf("a caller that went away: %v", err)
	}
	if _, err := client(t, icap.Config{Address: "127.0.0.1:1", Service: "x"}).Scan(t.Context(), content(nil)); !icap.Repeatable(err) {
		t.Errorf("nobody there: %v", err)
	}
	for _, bad := range []icap.Config{{Address: "host", Service: "x"}, {Address: "h:0", Service: "x"}, {Address: "h:1344"}, {Address: "h:1344", Service: "a b"}, {Address: "h:1344", Service: "x", MaxSize: -1}} {
		if _, err := icap.New(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
