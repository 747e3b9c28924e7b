package main

import (
	"crypto/x509"
	"fmt"
	"os"

	"gatepost/gateway/relay"
	"gatepost/internal/config"
)

// makeRoutes translates the routes.
func makeRoutes(c *config.Config) (routes []relay.Route, err error) {
	for i := range c.Policy.Routes {
		r := &c.Policy.Routes[i]
		if r.Kind == config.RouteReport {
			continue // its mail ends here
		}
		route := relay.Route{Name: r.Name, ServerName: r.ServerName, PoolSize: r.Pool, Queue: r.Queue, LMTP: r.Protocol == config.ProtocolLMTP, MTASTS: r.MTASTS, Hostname: c.Bootstrap.Hostname,
			Forward:  map[string]relay.Forward{"xforward": relay.XForward, "xclient": relay.XClient}[r.Forward],
			Rate:     relay.Rate{N: int(r.Rate.N), Period: r.Rate.Period},
			Timeouts: relay.Timeouts{Connect: r.Timeouts.Connect, Command: r.Timeouts.Command, Write: r.Timeouts.Data, Final: r.Timeouts.Final},
			TLS: map[config.RouteTLS]relay.Mode{config.TLSNone: relay.None, config.TLSOpportunistic: relay.Opportunistic,
				config.TLSRequired: relay.Required, config.TLSFingerprint: relay.Fingerprint,
				config.TLSDANE: relay.DANE, config.TLSDANEOnly: relay.DANEOnly}[r.TLS]}
		for _, h := range r.NextHops {
			route.Hops = append(route.Hops, relay.Hop{Host: h.Host, MX: h.MX, SRV: h.SRV, Port: h.Port, Order: h.Order, Weight: h.Weight})
		}
		for _, text := range r.Fingerprints {
			digest, err := relay.ParseDigest(text)
			if err != nil {
				return nil, fmt.Errorf("route[%s].fingerprints: %w", r.Name, err)
			}
			route.Fingerprints = append(route.Fingerprints, digest)
		}
		if r.CAFile != "" {
			if route.RootCAs, err = readCAs(r.CAFile); err != nil {
				return nil, fmt.Errorf("route[%s].ca_file: %w", r.Name, err)
			}
		}
		if err := credentials(c, r, &route); err != nil {
			return nil, err
		}
		routes = append(routes, route)
	}
	return routes, nil
}

func readCAs(name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", name)
	}
	return pool, nil
}
