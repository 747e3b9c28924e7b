package main

import (
	"errors"
	"io"

	"gatepost/appliance/backup"
	"gatepost/cmd/gatepost/backups"
)

// backupShop is what the commands of gatepost backup share with the daemon.
func backupShop() backups.Shop {
	return backups.Shop{Version: version, Named: namedFiles, Lock: func(dir string) (io.Closer, error) {
		f, err := lockState(dir)
		if err != nil {
			return nil, err
		}
		if err := backup.Give(f.Name(), dir); err != nil { // else the daemon could not take it
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}}
}

// resumeRestore brings a restore to its end that was cut off, before anything of the state is read. failed is why the state folder is not ours.
func (d *daemon) resumeRestore(failed error) error {
	if failed != nil {
		return failed
	}
	was, err := backup.Resume(d.bootstrap.StateDir)
	if was && err == nil {
		d.log.Info("a restore that was cut off is at its end")
	}
	return err
}
