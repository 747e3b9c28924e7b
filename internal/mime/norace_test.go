//go:build !race

package mime

const raced = false
