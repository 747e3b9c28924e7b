//go:build race

package main

// detectorTakes is how many times the memory of a plain program one with the race detector takes, which tests run.
const detectorTakes = 10
