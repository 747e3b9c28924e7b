package importer

import "gatepost/internal/importer/postfix"

// aliases are those of virtual(5).
func (m *postfixImport) aliases() {
	for _, name := range []string{"virtual_alias_maps", "virtual_alias_domains", "relay_recipient_maps"} {
		if p, set := m.get(name); set && p.Value != "" {
			m.leave(p.At.String(), written(p), "has no counterpart yet", "")
		}
	}
}

// exception is one recipient with a route of its own.
func (m *postfixImport) exception(e *postfix.Entry, what string) {
	m.leave(e.At.String(), what, "one recipient with a route of its own has no counterpart yet", "")
}
