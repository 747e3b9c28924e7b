//go:build !race

package main

// detectorTakes is how many times the memory of a plain program one with the race detector takes; this one has none.
const detectorTakes = 1
