//go:build race

package mime

// raced says that each step costs ten times as much.
const raced = true
