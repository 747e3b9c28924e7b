package config

import "time"

// Publish is how versions of the policy come in force, and when one is undone by itself.
type Publish struct {
	Confirm time.Duration `toml:"confirm" default:"0s" max:"1d" doc:"How long somebody has to confirm each new version before it is undone, where who publishes says nothing else. 0s: nobody has to."`
	Watch   time.Duration `toml:"watch" default:"30m" max:"1h" doc:"For how long after a new version is in force it is undone by itself where hardly any mail is accepted any more. 0s: never. Who confirms it ends that too."`
	Fall    float64       `toml:"fall" default:"0.5" min:"0.05" max:"0.95" doc:"It is undone where accepted mail falls below this part of what it was in the hour before, both as a share of all mail and as a number in an hour: a wave of spam, or a quiet night, lowers one of them only."`
	Least   int           `toml:"least" unit:"messages" default:"100" min:"10" max:"100000" doc:"How many messages and refused connections must have come, before as well as since, until that is judged."`
}
