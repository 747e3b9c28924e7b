package config

import "time"

// Stress is when the gateway sheds load, and how. It is entered at one mark and left at a lower one.
type Stress struct {
	ConnectionsOn  float64       `toml:"connections_on" default:"0.8" min:"0.05" max:"1" doc:"From this share of limits.connections on load is shed: unknown clients wait checks.pregreet.stress_wait, refusals by address and conduct are spoken in place of the banner, and commands have command_timeout."`
	ConnectionsOff float64       `toml:"connections_off" default:"0.6" min:"0.01" max:"1" doc:"Below this share it is over."`
	MemoryOn       float64       `toml:"memory_on" default:"0.85" min:"0.1" max:"1" doc:"The same, as a share of the memory limit of the process."`
	MemoryOff      float64       `toml:"memory_off" default:"0.7" min:"0.05" max:"1" doc:"Below this share it is over."`
	MemoryFull     float64       `toml:"memory_full" default:"0.95" min:"0.2" max:"1" doc:"From this share of the memory limit on new connections get 421 4.3.2, and messages 452 4.3.1."`
	CommandTimeout time.Duration `toml:"command_timeout" default:"30s" min:"5s" max:"5m" rfc:"RFC 5321 section 4.5.3.2" doc:"How long the gateway waits for the next command under stress. Trusted networks are exempt."`
}

// Validate keeps each mark for leaving below the one for entering.
func (s *Stress) Validate(report func(key, message, instead string)) {
	if s.ConnectionsOff >= s.ConnectionsOn {
		report("connections_off", "is not less than connections_on ("+points(s.ConnectionsOn)+")", "write a smaller share, so that stress does not flicker")
	}
	if s.MemoryOff >= s.MemoryOn {
		report("memory_off", "is not less than memory_on ("+points(s.MemoryOn)+")", "write a smaller share, so that stress does not flicker")
	}
	if s.MemoryFull <= s.MemoryOn {
		report("memory_full", "is not more than memory_on ("+points(s.MemoryOn)+")", "write a greater share")
	}
}
