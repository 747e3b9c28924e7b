package main

import (
	"crypto/tls"
	"fmt"

	"gatepost/internal/config"
	"gatepost/tls/certs"
)

// Sources of certificates in the set, as status and metrics name them. That of a file is sourceFile and its path; an
// authority has names of its own.
const (
	sourceFile       = "file:"
	sourceSelfSigned = "self-signed"
)

// openCertificates reads the certificates of the document, and makes what all listeners show. Only where the document has no
// other source one of our own is made; it is shown until another source brings one.
func (d *daemon) openCertificates() error {
	d.tls = certs.Server(&d.certificates)
	show, err := d.readCertificates()
	if err != nil {
		return err
	}
	show()
	b := d.bootstrap
	if len(b.TLS.Pairs()) > 0 {
		return nil
	}
	c, made, err := certs.SelfSigned(b.StateDir, b.Hostname)
	if err != nil {
		return err
	}
	if made {
		d.log.Warn("tls: a self-signed certificate was made; set tls.certificate and tls.key to one that others can verify", "host", b.Hostname)
	}
	d.certificates.Fallback(sourceSelfSigned, c)
	return nil
}

// readCertificates reads all files of the document, and returns what shows them: all or nothing.
func (d *daemon) readCertificates() (show func(), err error) {
	read, err := loadPairs(d.bootstrap)
	if err != nil {
		return nil, err
	}
	return func() {
		for i, f := range d.bootstrap.TLS.Pairs() {
			d.certificates.Put(sourceFile+f.Certificate, read[i])
		}
	}, nil
}

// loadPairs reads the certificates of the document, in their order.
func loadPairs(b *config.Bootstrap) (out []*tls.Certificate, err error) {
	for _, f := range b.TLS.Pairs() {
		c, err := certs.Load(f.Certificate, f.Key)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}
