// Imageboot boots a copy of the appliance's image in qemu and looks at it from outside: imageboot IMAGE. scripts/image --test runs it.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "imageboot: name one image")
		os.Exit(2)
	}
	if err := boot(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "imageboot:", err)
		os.Exit(1)
	}
}
