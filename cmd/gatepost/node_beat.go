package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost/cmd/gatepost/nodes"
	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store/admin"
)

// nodeDesk tells how this node is, and of others.
func (d *daemon) nodeDesk() *nodes.Desk {
	return d.nodes.get(func() *nodes.Desk {
		return &nodes.Desk{Here: d.here, Log: d.log, Store: d.nodeStore, Removed: d.nodeRemoved, Shared: func() bool { return d.data != nil && d.data.Shared() }}
	})
}

// nodeStore is where nodes tell each other how they are.
func (d *daemon) nodeStore() nodes.Store {
	if d.data == nil {
		return noNodes{}
	}
	return d.data.Nodes()
}

// noNodes is there where there are no control data.
type noNodes struct{}

var errNoData = errors.New("there are no control data")

func (noNodes) Beat(context.Context, string, string) (time.Duration, error) { return 0, errNoData }
func (noNodes) List(context.Context) ([]admin.Node, error)                  { return nil, errNoData }
func (noNodes) Remove(context.Context, string, time.Duration) error         { return errNoData }

// nodeOperations are those about nodes.
func (d *daemon) nodeOperations() []control.Operation {
	return d.nodeDesk().Operations()
}

// here is how this node is. It asks nobody.
func (d *daemon) here() api.Node {
	b, c := d.now.Load(), d.document.Load()
	n := api.Node{Name: d.bootstrap.NodeName(), Version: version, Since: d.started, Mode: b.snapshot.Policy.Mode.String(), Policy: c.PolicyVersion, Listeners: d.where.Listeners, Console: d.where.Console,
		Sessions: d.server.Sessions(), Stressed: d.server.Stressed(), Memory: d.resources.Pressure(), Load: loadAverage(), Queue: d.spoolTotals().Messages, Drain: d.drained.Load()}
	n.Number, _ = d.versions.InForce()
	for _, p := range d.readiness() {
		p.Detail = gateway.CleanText(p.Detail, 200)
		n.Parts = append(n.Parts, p)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Clean(d.bootstrap.StateDir), &disk); err == nil {
		n.Free, n.Disk = int64(disk.Bavail)*disk.Bsize, int64(disk.Blocks)*disk.Bsize
	}
	return n
}

// loadAverage is the load of the machine over a minute; 0 where the kernel does not tell.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}
