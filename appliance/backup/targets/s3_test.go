package targets

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// bucketName is the one that testdata/s3.py is used with.
const bucketName = "backups"

// startS3 runs Debian's Swift with its S3 API, and returns where an empty bucket is.
func startS3(t *testing.T) S3 {
	t.Helper()
	dir := t.TempDir()
	certificate, key, roots := certified(t, dir)
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-B", "testdata/s3.py", filepath.Join(dir, "store"), certificate, key)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("python3-swift: %v; is it installed (scripts/install installs it)?\n%s", err, &errs)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	s := S3{Endpoint: "127.0.0.1:" + strings.TrimSpace(port), Bucket: bucketName, Prefix: "mx/", Region: "us-east-1", AccessKey: "test:tester", Secret: "testing", Roots: roots, part: 5 << 20}
	if err := s.admin(t).MakeBucket(t.Context(), bucketName, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// certified makes a certificate of loopback, which is its own authority.
func certified(t *testing.T, dir string) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // which has one
	defer s.Close()
	pair := s.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return certificate, key, roots
}

// admin is a client that may do more than a target does.
func (s S3) admin(t *testing.T) *minio.Core {
	t.Helper()
	c, err := minio.NewCore(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4("test:tester", "testing", ""), Secure: true, Region: "us-east-1",
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// add writes an object.
func (s S3) add(t *testing.T, key, text string) {
	t.Helper()
	if _, err := s.admin(t).Client.PutObject(t.Context(), bucketName, key, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// keys are all names in the bucket, and those of uploads that are not whole with half behind them.
func (s S3) keys(t *testing.T) (out []string) {
	t.Helper()
	c := s.admin(t)
	for o := range c.Client.ListObjects(t.Context(), bucketName, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		out = append(out, o.Key)
	}
	uploads, err := c.ListMultipartUploads(t.Context(), bucketName, s.Prefix, "", "", "/", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		out = append(out, u.Key+half)
	}
	slices.Sort(out)
	return out
}

// TestS3 brings backups in one piece and in parts to a real server, reads them back, removes the oldest of this host and uploads that were cut
// off, and nothing else.
func TestS3(t *testing.T) {
	s := startS3(t)
	others := []string{"gatepost-mx.example.org-20200101T000000Z.age", "mx/below/gatepost-mx.example.org-20200101T000000Z.age", "mx/gatepost-mx.example.org-broken.age",
		"mx/gatepost-mx2.example.org-20200101T000000Z.age", "mx/notes.txt"}
	for _, name := range append(others, "mx/gatepost-mx.example.org-20200101T000000Z.age") {
		s.add(t, name, "x")
	}
	for _, name := range []string{first, "gatepost-mx2.example.org-20200101T000000Z.age"} { // both were cut off
		id, err := s.admin(t).NewMultipartUpload(t.Context(), bucketName, s.Prefix+name, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.admin(t).PutObjectPart(t.Context(), bucketName, s.Prefix+name, id, 1, strings.NewReader("half"), 4, minio.PutObjectPartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.keys(t)); n != len(others)+3 {
		t.Fatalf("there are %d: %q", n, s.keys(t))
	}
	small, large := backupFile(t, 1<<20+17), backupFile(t, 6<<20)
	for _, c := range []struct{ name, file string }{{first, small}, {second, large}, {third, small}, {third, large}} { // the last replaces one
		if err := Bring(t.Context(), s.Open, c.file, c.name, 2); err != nil {
			t.Fatal(err)
		}
		o, err := s.admin(t).Client.GetObject(t.Context(), bucketName, s.Prefix+c.name, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o)
		if want, bad := os.ReadFile(c.file); err != nil || bad != nil || string(got) != string(want) {
			t.Errorf("%s: %d octets, %v", c.name, len(got), err)
		}
	}
	wanted := append(slices.Clone(others), "mx/"+second, "mx/"+third, "mx/gatepost-mx2.example.org-20200101T000000Z.age"+half)
	slices.Sort(wanted)
	if got := s.keys(t); !slices.Equal(got, wanted) {
		t.Errorf("there are %q\nwant %q", got, wanted)
	}
}

// TestS3Refused: what a real server says of a wrong name or secret is told before anything is sent, and what is there stays.
func TestS3Refused(t *testing.T) {
	s := startS3(t)
	s.add(t, s.Prefix+first, "older")
	for name, c := range map[string]struct {
		change func(to *S3)
		want   string
	}{
		"wrong secret":    {func(to *S3) { to.Secret = "guessed" }, "SignatureDoesNotMatch"},
		"unknown account": {func(to *S3) { to.AccessKey = "test:nobody" }, "SignatureDoesNotMatch"},
		"no bucket":       {func(to *S3) { to.Bucket = "nothing-here" }, "bucket nothing-here at " + s.Endpoint + ": NoSuchBucket"},
		"wrong region":    {func(to *S3) { to.Region = "eu-central-1" }, "'us-east-1'"},
		"unknown issuer":  {func(to *S3) { to.Roots = x509.NewCertPool() }, "certificate signed by unknown authority"},
		"away":            {func(to *S3) { to.Endpoint = "127.0.0.1:1" }, "connection refused"},
		"no host":         {func(to *S3) { to.Endpoint = "127.0.0.1:1/x" }, "Endpoint"},
	} {
		to := s
		c.change(&to)
		if err := Bring(t.Context(), to.Open, backupFile(t, 100), second, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.keys(t); !slices.Equal(got, []string{s.Prefix + first}) {
		t.Errorf("there are %q", got)
	}
}

// spoiled is what a server between does to requests, by its own will or since it was ill.
type spoiled struct {
	match func(r *http.Request) bool
	times int64 // how often; 0: always
	do    func(w http.ResponseWriter, r *http.Request)
}

// before puts a server before a real one, which spoils some of what goes through.
func (s S3) before(t *testing.T, bad *atomic.Pointer[spoiled]) S3 {
	t.Helper()
	behind := &url.URL{Scheme: "https", Host: s.Endpoint}
	real := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots}},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	var done atomic.Int64
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b := bad.Load(); b != nil && b.match(r) && (b.times == 0 || done.Add(1) <= b.times) {
			b.do(w, r)
			return
		}
		real.ServeHTTP(w, r)
	}))
	front.StartTLS()
	t.Cleanup(front.Close)
	s.Endpoint = front.Listener.Addr().String()
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(front.Certificate())
	return s
}

func part(n string) func(r *http.Request) bool {
	return func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == n }
}

func query(key string) func(r *http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Query().Has(key) && r.Method == http.MethodGet }
}

func status(code int) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
		fmt.Fprintf(w, "<Error><Code>Code%d</Code><Message>said so</Message></Error>", code)
	}
}

// cutOff answers half of what it announces.
func cutOff(w http.ResponseWriter, _ *http.Request) {
	conn, to, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = to.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml version=\"1.0\"?><ListBucketResult><Contents><Key>")
	_ = to.Flush()
}

// hang reads nothing and says nothing until the other goes.
func hang(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(1)
	time.Sleep(2 * time.Second) // twice what the client waits for
}

// endless is a listing whose end never comes.
func endless(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>`)
	for i := range 1000 {
		fmt.Fprintf(w, "<Contents><Key>mx/gatepost-mx.example.org-%d</Key></Contents>", i)
	}
	_, _ = io.WriteString(w, "</ListBucketResult>")
}

// huge is an answer without end.
func huge(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, `<?xml version="1.0"?><ListBucketResult><Name>`)
	text := strings.Repeat("x", 1<<20)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// TestS3Faults: what goes wrong on the way to a real server is told in time, leaves no backup that is not whole, and removes none that was there; what
// passes is tried again; and once all is well, the next transfer sweeps what was left.
func TestS3Faults(t *testing.T) {
	s := startS3(t)
	for i, c := range []struct {
		name string
		bad  spoiled
		want string // ""; it goes all the same
		kept bool   // whether the new one is there
	}{
		{"500 once", spoiled{part("2"), 1, status(500)}, "", true},
		{"500 in the middle", spoiled{part("2"), 0, status(500)}, "Code500: said so", false},
		{"403 in the middle", spoiled{part("2"), 0, status(403)}, "Code403: said so", false},
		{"hangs in the middle", spoiled{part("2"), 0, hang}, "timeout", false},
		{"answer to a part is cut off", spoiled{part("2"), 0, cutOff}, "InternalError", false}, // nobody told what the part is known by
		{"nobody can list uploads", spoiled{query("uploads"), 0, status(501)}, "", true},
		{"nobody may list uploads", spoiled{query("uploads"), 0, status(403)}, "the backup is there; older ones cannot be removed", true},
		{"listing is cut off", spoiled{query("list-type"), 0, cutOff}, "EOF", false},
		{"listing is not XML", spoiled{query("list-type"), 0, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }}, "EOF", false},
		{"listing has no end", spoiled{func(r *http.Request) bool { return query("list-type")(r) && r.URL.Query().Get("max-keys") != "1" }, 0, endless}, "more than 20000 names in backups begin with mx/gatepost-mx.example.org-", true},
		{"answer has no end", spoiled{query("list-type"), 0, huge}, "XML", false},
		{"listing hangs", spoiled{query("list-type"), 0, hang}, "timeout", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s
			s.Prefix = fmt.Sprintf("case%d/", i)
			if strings.Contains(c.want, "mx/") {
				s.Prefix = "mx/"
			}
			s.add(t, s.Prefix+first, "older")
			var bad atomic.Pointer[spoiled]
			bad.Store(&c.bad)
			to := s.before(t, &bad)
			if strings.Contains(c.name, "hang") {
				t.Parallel() // it waits only
				to.stall = time.Second
			}
			err := Bring(t.Context(), to.Open, backupFile(t, 6<<20), second, 1)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			var here []string
			for _, key := range s.keys(t) {
				if name, ours := strings.CutPrefix(key, s.Prefix); ours {
					here = append(here, name)
				}
			}
			if slices.Contains(here, second) != c.kept || !c.kept && !slices.Contains(here, first) {
				t.Errorf("there are %q", here)
			}
			bad.Store(nil)
			to.stall = 0
			if err := Bring(t.Context(), to.Open, backupFile(t, 100), third, 1); err != nil {
				t.Fatal(err)
			}
			for _, key := range s.keys(t) {
				if name, ours := strings.CutPrefix(key, s.Prefix); ours && name != third {
					t.Errorf("once it is well there is %s", name)
				}
			}
		})
	}
}
