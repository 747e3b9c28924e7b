package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/child"
	"gatepost/internal/lab/bench/pipe"
)

// The names of the peers, as they are asked for and as targets.
const (
	pipePeer    = "pipe"
	postfixPeer = "postfix-proxy"
)

// servePipe is the pipe's process.
func servePipe(to string, in io.Reader, out io.Writer) error {
	p, err := pipe.Start(to)
	if err != nil {
		return err
	}
	defer p.Close()
	return child.Serve(in, out, p.Addr(), func(json.RawMessage) (any, error) { return nil, nil })
}

// startPeer starts what Gatepost is measured beside. stop ends it.
func (b *bench) startPeer(ctx context.Context, name, dir string) (t target, stop func() error, err error) {
	if name == pipePeer {
		c, err := child.Start(exec.Command(b.self, "-"+pipeFlag, b.sink.Addr()))
		if err != nil {
			return t, nil, fmt.Errorf("pipe: %w", err)
		}
		return target{name: name, addr: c.Addr(), part: part{pid: c.PID()}}, c.Close, nil
	}
	own, err := os.MkdirTemp(dir, name+"-")
	if err == nil {
		err = os.Chmod(own, 0o755) // its processes run as several users
	}
	if err != nil {
		return t, nil, err
	}
	p, err := lab.StartPostfix(ctx, own, proxyOptions(b.sink.Addr()))
	if err != nil {
		return t, nil, fmt.Errorf("%w (%q is a peer that can be left out)", err, name)
	}
	return target{name: name, addr: p.Addr, part: part{pid: p.PID(), group: true}}, p.Stop, nil
}

// peerProcesses is how many clients a Postfix serves at the same time; each is a process.
const peerProcesses = 300

// proxyOptions make a Postfix that hands each message on while the client waits (its SMTPD_PROXY_README): nothing is
// stored, and the sink's answer is the client's. It looks up no names, and asks nobody whether a recipient exists.
func proxyOptions(hop string) lab.PostfixOptions {
	return lab.PostfixOptions{
		Name: "proxy.lab.test",
		Settings: []string{
			"relay_domains = served.test",
			"relay_transport = relay:[127.0.0.1]:1", // never asked: nothing is queued
			"default_process_limit = " + strconv.Itoa(peerProcesses),
			"smtpd_client_connection_rate_limit = 0",
		},
		Smtpd: []string{"smtpd_proxy_filter=" + hop},
	}
}
