package doctor

import "context"

// Service is something else that the gateway depends on, as it was found a moment ago by what uses it.
type Service struct {
	Kind  string // of the line services.KIND
	About string
	Err   error
	Said  string
}

// services looks at what else there is: whoever knows recipients, the ways out for reports and notices, keys that seal, and the
// authority.
func (w *World) services(ctx context.Context, r *Report) {
	p := r.at(0)
	for _, s := range w.AskServices(ctx) {
		id := "services." + s.Kind
		if s.Err == nil {
			p.ok(id, s.About, s.Said)
			continue
		}
		// What each failure means, and what to do.
		means := map[string][2]string{
			"directory": {"; recipients are known by its copy, or not at all", "gatepost recipients sync; docs/recipients.md"},
			"notices":   {"; senders are not told when mail from the spool fails for good", "gatepost handover tells what that server must allow; " + w.has("queue.notices_via")},
			"reports":   {"; DMARC reports wait", "gatepost dmarc report; " + w.has("reports.dmarc.via")},
			"arc_key":   {"; seals of this host are not believed", "gatepost dkim key show prints the TXT record to paste"},
			"acme":      {"; certificates are not renewed", "gatepost tls status; " + w.has("acme.directory")},
		}[s.Kind]
		p.warn(id, s.About, s.Err.Error()+means[0], means[1])
	}
}
