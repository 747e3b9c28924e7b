package main

import (
	"errors"
	"fmt"
	"io"

	"gatepost/appliance/backup"
	"gatepost/cmd/gatepost/backups"
	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// backupShop is what the commands of gatepost backup share with the daemon.
func backupShop() backups.Shop {
	return backups.Shop{Version: version, Named: namedFiles, Lock: func(dir string) (io.Closer, error) { return lockState(dir) }}
}

// documentsToServe reads the documents, those of a restore that was cut off too. nil: there is nothing to serve by, and why was told.
func documentsToServe(e cli.Env, path string) *config.Config {
	if err := resumeRestore(e, path); err != nil {
		fmt.Fprintf(e.Err, "gatepost: %v\n", err)
		return nil
	}
	c, problems := config.Load(path, sections())
	cli.Tell(e, problems)
	return c
}

// resumeRestore brings a restore to its end that was cut off, before documents and state are read: it replaces both.
func resumeRestore(e cli.Env, path string) error {
	b, _ := config.LoadBootstrap(path) // whoever reads the documents next tells what is wrong
	if b == nil || !backup.Pending(b.StateDir) {
		return nil
	}
	held, err := lockState(b.StateDir)
	if err != nil {
		return err
	}
	defer held.Close()
	if _, err = backup.Resume(b.StateDir); err == nil {
		newLogger(e, b).Info("a restore that was cut off is at its end")
	}
	return err
}

// unrestored refuses a state folder in which a restore was cut off after we read the documents. failed is why the folder is not ours.
func (d *daemon) unrestored(failed error) error {
	if failed == nil && backup.Pending(d.bootstrap.StateDir) {
		return errors.New("a restore was cut off just now: start again, which brings it to its end")
	}
	return failed
}
