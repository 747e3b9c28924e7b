package spool

import (
	"path/filepath"

	"gatepost/internal/durable"
)

// disk is what the queue does to its folder, and diskFile a file that is being written.
type (
	disk     = durable.Disk
	diskFile = durable.File
)

// folders are those below the queue's folder.
type folders struct{ dir string }

func (f folders) tmp() string     { return filepath.Join(f.dir, "tmp") }
func (f folders) queue() string   { return filepath.Join(f.dir, "q") }
func (f folders) corrupt() string { return filepath.Join(f.dir, "corrupt") }
