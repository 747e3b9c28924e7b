package api

// Settings are the keys of both documents as they are in force, but for those of checks, which the page of the policy has.
type Settings struct {
	Documents []SettingsOf `json:"documents"`
}

// SettingsOf are those of one document.
type SettingsOf struct {
	Name string    `json:"name"`           // gatepost.toml, policy.toml
	From string    `json:"from,omitempty"` // where it is from: a file, or a version that was published; "" where every key has its default
	Live bool      `json:"live"`           // a change is in force without a restart
	Keys []Setting `json:"keys"`
}

// Setting is one key.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value,omitempty"`   // as documents have it; (secret) of a secret; "" where it is not set
	Default string `json:"default,omitempty"` // likewise
	Where   string `json:"where,omitempty"`   // file:line; "" where the document does not say it
}
