package config

import "time"

// Unpack is the process that looks into attachments: one for each message that has something to look into.
type Unpack struct {
	Processes int           `toml:"processes" unit:"processes" max:"1000" doc:"How many such processes may run at once; more messages wait. 0: two for each processor."`
	Memory    Size          `toml:"memory" default:"512M" min:"128M" max:"16G" doc:"How much memory one of them may hold. What needs more is told as a limit."`
	Time      time.Duration `toml:"time" default:"10s" min:"1s" max:"30s" doc:"How long one message may be looked into. Then what was found is told, with the limit; five seconds later the process is killed."`
	Entries   int           `toml:"entries" unit:"entries" default:"10000" min:"10" max:"1000000" doc:"How many files and folders of one message are looked at, in all its archives and documents together."`
	Depth     int           `toml:"depth" unit:"levels" default:"8" min:"1" max:"50" doc:"How deep archives and documents may lie in each other."`
	Octets    Size          `toml:"octets" default:"400M" min:"1M" max:"16G" doc:"How much is unpacked of one message, in all."`
	Object    Size          `toml:"object" default:"64M" min:"1M" max:"2G" doc:"How big a single file may be, unpacked, that is looked into. Of a bigger one size and digest are told, and that it was not looked into."`
	Ratio     int           `toml:"ratio" unit:"times" default:"200" min:"10" max:"100000" doc:"To how many times its size something may unpack, beyond 10 MiB. What unpacks to more was made to."`
}

// Validate refuses files that can never be looked into.
func (u *Unpack) Validate(report func(key, message, instead string)) {
	if u.Object > u.Memory/4 {
		report("object", "is more than a quarter of memory ("+u.Memory.String()+"): archives in each other would not fit", "write at most a quarter of it, or more memory")
	}
	if u.Object > u.Octets {
		report("object", "is more than octets ("+u.Octets.String()+"), which is for all files together", "write at most as much")
	}
}
