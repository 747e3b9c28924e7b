// Package packing puts files into containers by hand, one file each: what tests need of formats that the standard library only
// reads, or does not know. What it writes is small and plain; wicked archives are made where they are read.
package packing
