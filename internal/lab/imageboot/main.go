// Imageboot boots the appliance's image in qemu and looks at it from outside; scripts/image runs it.
//
//	imageboot look IMAGE        first boot, second boot, a root with a changed octet
//	imageboot live FOLDER       what an appliance lives through, with the versions that versions.sh made in a folder
//	imageboot live-short FOLDER the first part of it: the first run, mail, an update
//	imageboot relay HOST:PORT   joins stdin and stdout with a server; qemu starts it
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "imageboot:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 {
		switch args[0] {
		case "look":
			return boot(args[1])
		case "live":
			return live(args[1], false)
		case "live-short":
			return live(args[1], true)
		case "relay":
			return relay(args[1])
		}
	}
	return fmt.Errorf("say what to do, and name one thing: look, live, live-short or relay")
}
