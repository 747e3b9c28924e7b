package backups

// Known are the migrations of a member of a backup that this program knows.
func Known(member string) []int { return known(member) }
