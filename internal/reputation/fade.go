package reputation

// Half-lives: a month for what tells whom one has to do with, a day for what he does now.
const (
	slowHalf = 30 * daySeconds
	fastHalf = daySeconds
	steps    = 32 // of a half-life; between them nothing fades
	slowStep = slowHalf / steps
	fastStep = fastHalf / steps
)

// parts are what is left after so many steps of one half-life, in 2^20ths. They stand in the script of internal/redis too.
var parts = [steps]uint64{
	1048576, 1026107, 1004120, 982604, 961548, 940944, 920782, 901051,
	881744, 862850, 844361, 826268, 808563, 791237, 774282, 757691,
	741455, 725567, 710020, 694806, 679917, 665348, 651091, 637140,
	623487, 610127, 597053, 584260, 571740, 559489, 547500, 535768,
}

// fade returns what is left of a count after so many steps. They are of a grid, so that it does not matter how often it
// was looked at meanwhile.
func fade(c uint32, n int64) uint32 {
	half := n / steps
	if half > 31 {
		return 0
	}
	return uint32(uint64(c) * parts[n%steps] >> 20 >> half)
}
