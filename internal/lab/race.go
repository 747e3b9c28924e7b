//go:build race

package lab

// raceEnabled says whether this program has the race detector.
const raceEnabled = true
