package targets

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Bounds of S3.
const (
	partSize   = 16 << 20        // octets of a part: that much memory is in use
	mostParts  = 9000            // of 10,000 that S3 allows
	mostTries  = 3               // of a request
	mostAnswer = 8 << 20         // octets of an answer; 1000 names of 1 KiB are less
	mostNames  = 20000           // that are looked at in one listing
	listTime   = 2 * time.Minute // that one listing may take
)

// Where the name of the bucket stands in a request.
const (
	PathStyle = "path" // https://endpoint/bucket/
	HostStyle = "host" // https://bucket.endpoint/
)

// S3 is a bucket, or a folder of one, of a server that speaks the API of Amazon S3. It is reached by TLS only.
//
// An object has its name once it is whole: S3 has no other way. What is half there are parts of an upload, which have no name in the bucket, but cost
// room; they are listed with half behind their name, and to remove that is to abort the upload.
type S3 struct {
	Endpoint  string // host:port
	Bucket    string
	Prefix    string // of all names, with / at its end; or ""
	Region    string
	Style     string         // PathStyle, HostStyle; "": as the makers of the endpoint are known to want it, else PathStyle
	AccessKey string         // the name of the account
	Secret    string         // its secret access key
	Roots     *x509.CertPool // the authorities that may sign its certificate; nil: those of the system

	stall time.Duration // 0: stallTime
	part  int64         // 0: partSize
}

// Open is an Opener.
func (s S3) Open(ctx context.Context) (Place, error) {
	dialer := net.Dialer{Timeout: dialTime}
	transport := &http.Transport{ // no proxy of the environment, and no HTTP/2, whose one connection would wait for the slowest
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &moving{Conn: raw, most: cmp.Or(s.stall, stallTime)}, nil
		},
		TLSClientConfig:        &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTime,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	lookup := map[string]minio.BucketLookupType{PathStyle: minio.BucketLookupPath, HostStyle: minio.BucketLookupDNS}[s.Style]
	client, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.Secret, ""), Secure: true,
		Transport: bounded{transport}, Region: s.Region, BucketLookup: lookup, MaxRetries: mostTries})
	if err != nil {
		return nil, err
	}
	b := &bucket{ctx: ctx, s: s, client: minio.Core{Client: client}, idle: transport.CloseIdleConnections}
	if _, err := b.objects("", 1); err != nil { // a bucket that is not there, or a wrong secret, is told before a gigabyte goes
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// bucket is an open S3.
type bucket struct {
	ctx    context.Context // of Open: it ends with it
	s      S3
	client minio.Core
	idle   func()
	broken map[string][]string // the uploads of each name with half behind it, by the last Names
}

func (b *bucket) Close() error { b.idle(); return nil }

func (b *bucket) Put(ctx context.Context, name string, from io.Reader, size int64) error {
	part := max(cmp.Or(b.s.part, partSize), (size/mostParts+1<<20)>>20<<20)
	_, err := b.client.Client.PutObject(ctx, b.s.Bucket, b.s.Prefix+name, reader{ctx, from}, size,
		minio.PutObjectOptions{ContentType: "application/octet-stream", SendContentMd5: true, PartSize: uint64(part)})
	if err != nil {
		return b.told(err)
	}
	info, err := b.client.StatObject(ctx, b.s.Bucket, b.s.Prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return b.told(err)
	}
	if info.Size != size {
		return fmt.Errorf("%d of %d octets are there", info.Size, size)
	}
	return nil
}

func (b *bucket) Names(begin string) ([]string, error) {
	out, err := b.objects(begin, mostNames)
	if err != nil {
		return nil, err
	}
	uploads, err := b.uploads(begin)
	return append(out, uploads...), err
}

// objects lists those whose names begin so, without what is in folders below. One more than most is an error, but for most 1, which only asks.
func (b *bucket) objects(begin string, most int) (out []string, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, listTime)
	defer cancel()
	owner := false
	for o := range b.client.ListObjectsIter(ctx, b.s.Bucket, minio.ListObjectsOptions{Prefix: b.s.Prefix + begin, MaxKeys: min(most, 1000), FetchOwner: &owner}) {
		switch {
		case o.Err != nil:
			return nil, b.told(o.Err)
		case most == 1:
			return nil, nil
		case len(out) == most:
			return nil, b.tooMany(begin)
		}
		out = append(out, strings.TrimPrefix(o.Key, b.s.Prefix))
	}
	return out, b.told(ctx.Err())
}

// uploads lists what is half there, and keeps by which numbers it is aborted. Servers that cannot list that are taken for having none.
func (b *bucket) uploads(begin string) (out []string, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, listTime)
	defer cancel()
	b.broken = map[string][]string{}
	var page minio.ListMultipartUploadsResult
	for n := 0; n == 0 || page.IsTruncated; n++ {
		page, err = b.client.ListMultipartUploads(ctx, b.s.Bucket, b.s.Prefix+begin, page.NextKeyMarker, page.NextUploadIDMarker, "/", 1000)
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented {
			return nil, nil
		}
		if err != nil {
			return nil, b.told(err)
		}
		for i := range page.Uploads {
			name := strings.TrimPrefix(page.Uploads[i].Key, b.s.Prefix) + half
			if b.broken[name] == nil {
				out = append(out, name)
			}
			b.broken[name] = append(b.broken[name], page.Uploads[i].UploadID)
		}
		if len(out) > mostNames || n*1000 > mostNames {
			return nil, b.tooMany(begin)
		}
	}
	return out, nil
}

func (b *bucket) tooMany(begin string) error {
	return fmt.Errorf("more than %d names in %s begin with %s%s: give this gateway a prefix of its own", mostNames, b.s.Bucket, b.s.Prefix, begin)
}

func (b *bucket) Remove(name string) error {
	whole, broken := strings.CutSuffix(name, half)
	if !broken {
		return b.told(b.client.RemoveObject(b.ctx, b.s.Bucket, b.s.Prefix+name, minio.RemoveObjectOptions{}))
	}
	for _, id := range b.broken[name] {
		err := b.client.AbortMultipartUpload(b.ctx, b.s.Bucket, b.s.Prefix+whole, id)
		if err != nil && minio.ToErrorResponse(err).StatusCode != http.StatusNotFound { // it ended meanwhile
			return b.told(err)
		}
	}
	return nil
}

// told says what the server said, with its code, which is what one looks up.
func (b *bucket) told(err error) error {
	if r, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return fmt.Errorf("bucket %s at %s: %.100s: %.300s", b.s.Bucket, b.s.Endpoint, r.Code, r.Message)
	}
	return err
}

// bounded reads so much of an answer and no more: what is longer is cut off, and is then no XML.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, mostAnswer), resp.Body}
	}
	return resp, err
}
