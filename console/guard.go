package console

import (
	"net/http"
	"net/netip"
)

// security is what browsers may do with a page: show it with our own files, and send its forms to where it came from. Script
// may make markup by the one policy of console.js only, and can neither be inline nor evaluated.
const security = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types gatepost"

// Bounds of a request.
const (
	maxForm = 64 << 10 // octets of a form
	maxPath = 4 << 10  // octets of path and query
)

// guard bounds requests and says what browsers may do with any answer.
func (c *Console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", security)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("Cache-Control", "no-store")
		if len(r.RequestURI) > maxPath {
			w.WriteHeader(http.StatusRequestURITooLong)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// clientOf is the address of whoever asks.
func clientOf(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
