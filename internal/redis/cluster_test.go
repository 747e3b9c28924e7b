package redis

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/greylist/storetest"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/limit"
)

// cluster starts two masters of a Cluster that have half of the slots each.
func cluster(t *testing.T) [2]*lab.Redis {
	var nodes [2]*lab.Redis
	for i, slots := range [][2]string{{"0", "8191"}, {"8192", "16383"}} {
		_, bus, err := net.SplitHostPort(labtest.ClosedAddr(t))
		must(t, err)
		nodes[i] = labtest.Redis(t, lab.RedisOptions{
			User: "gatepost", Password: "p-of-a-test",
			Settings: []string{"cluster-enabled yes", "cluster-port " + bus, "cluster-config-file nodes.conf"},
		})
		do(t, nodes[i], "CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1])
		do(t, nodes[i], "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i == 1 {
			host, port, err := net.SplitHostPort(nodes[1].Addr)
			must(t, err)
			do(t, nodes[0], "CLUSTER", "MEET", host, port, bus)
		}
	}
	for ctx := labtest.Context(t); ; time.Sleep(10 * time.Millisecond) {
		must(t, ctx.Err())
		if strings.Contains(do(t, nodes[0], "CLUSTER", "INFO"), "cluster_state:ok") &&
			strings.Contains(do(t, nodes[1], "CLUSTER", "INFO"), "cluster_state:ok") {
			return nodes
		}
	}
}

// TestCluster runs the greylist's suite on a Cluster, and shows that both of its masters are used by a row, and walked over.
func TestCluster(t *testing.T) {
	nodes := cluster(t)
	settings := func() Settings {
		s := patient(nodes[0])
		s.Addrs, s.Cluster, s.User, s.Password = []string{nodes[0].Addr}, true, "gatepost", "p-of-a-test"
		return s
	}
	storetest.Run(t, func(t testing.TB) greylist.Store {
		do(t, nodes[0], "FLUSHALL")
		do(t, nodes[1], "FLUSHALL")
		return open(t, settings()).Greylist()
	})
	do(t, nodes[0], "FLUSHALL")
	do(t, nodes[1], "FLUSHALL")
	c := open(t, settings())
	row := c.Row()
	var tried []*Tried
	for i := range 20 {
		tried = append(tried, row.Try(greylist.Key{Tag: greylist.Tag{byte(i)}}, greylist.Settings{}, time.Time{}))
	}
	var many []limit.Charge
	for i := range limit.MostCharges {
		many = append(many, charges("client "+strconv.Itoa(i))...)
	}
	taken := row.Take(many)
	must(t, row.Do(context.Background()))
	for _, a := range tried {
		if a.Outcome != greylist.First {
			t.Errorf("%+v", a)
		}
	}
	if !taken.OK() || many[limit.MostCharges-1].Ahead == 0 {
		t.Errorf("%+v", taken)
	}
	for _, n := range nodes {
		if size, err := strconv.Atoi(do(t, n, "DBSIZE")); err != nil || size == 0 {
			t.Errorf("%d keys on %s", size, n.Addr)
		}
	}
	first, err := c.Probe(context.Background())
	must(t, err)
	if again, err := c.Probe(context.Background()); err != nil || again.ID != first.ID {
		t.Errorf("%+v, then %+v, %v", first, again, err)
	}
	teach := c.Row()
	var told []*Told
	for i := range 20 { // each passed meanwhile, and so did its identity
		at := greylist.Millis(time.Now())
		told = append(told, teach.Teach(greylist.Key{Tag: greylist.Tag{byte(i)}}, greylist.Record(-at), greylist.Passes(-at), greylist.Settings{}, time.Time{}))
	}
	must(t, teach.Do(context.Background()))
	for _, a := range told {
		if a.Changed != 2 {
			t.Errorf("%+v", a)
		}
	}
}
