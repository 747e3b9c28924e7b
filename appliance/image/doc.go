// Package image is what the build of the appliance's image needs beside Debian's tools: which kernel modules come in,
// what is refused in a tree that would become the root, and the list of what is in it. The files beside it are the build's lists
// and shell scripts; scripts/image runs them, cmd/imagetool is how they call this package.
//
// It builds nothing by itself, and nothing of it is in the image.
package image
