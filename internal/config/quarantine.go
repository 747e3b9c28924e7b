package config

import "time"

// VaultRules are how long mail is kept that is quarantined, and how much of it.
type VaultRules struct {
	Action      VaultAction   `toml:"action" enum:"keep,mark" default:"keep" doc:"What becomes of mail that is quarantined. keep: it stays here, encrypted, until somebody releases or deletes it or its time is over (docs/quarantine.md). mark: it is delivered, with X-Gatepost-Verdict: quarantine, for a server that files it by that."`
	Keep        time.Duration `toml:"keep" default:"30d" min:"1h" max:"3650d" doc:"How long it is kept. Then it is erased, which the journal tells."`
	KeepMalware time.Duration `toml:"keep_malware" default:"7d" min:"1h" max:"3650d" doc:"How long mail is kept in which a virus scanner found something, or something doubtful."`
	MaxSize     Size          `toml:"max_size" default:"10G" min:"64M" doc:"How much disk it may take. Beyond it the oldest of the mildest class go: spam first, malware last."`
}

// Training says which engines learn from what people do with mail in quarantine.
type Training struct {
	SpamAssassin bool `toml:"spamassassin" doc:"Whether spamd learns (TELL). It must run with --allow-tell and use Bayes; whoever reaches it may teach it then."`
	Rspamd       bool `toml:"rspamd" doc:"Whether rspamd learns. Needs rspamd.controller in gatepost.toml, and rspamd.password_file where the controller wants a password."`
}

// VaultAction is what becomes of quarantined mail.
type VaultAction string

// The values of quarantine.action.
const (
	VaultKeep VaultAction = "keep"
	VaultMark VaultAction = "mark"
)
