package alarms

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// The questions, as the command line asks them and the daemon answers them.

func listQuestion() control.Operation {
	return control.Operation{Name: "alarm list", Method: http.MethodGet, Path: "/alarms", Doc: "List what is wrong, the worst first", Right: access.AlarmsRead}
}

func showQuestion() control.Operation {
	return control.Operation{Name: "alarm show", Method: http.MethodGet, Path: "/alarms/{id}", Doc: "Show an alarm of this node", Right: access.AlarmsRead}
}

func ackQuestion() control.Operation {
	return control.Operation{Name: "alarm ack", Method: http.MethodPost, Path: "/alarms/{id}/ack", Doc: "Say that somebody knows of an alarm, so that it is not told again", Right: access.AlarmsChange}
}

func unackQuestion() control.Operation {
	return control.Operation{Name: "alarm unack", Method: http.MethodDelete, Path: "/alarms/{id}/ack", Doc: "Have an alarm told again", Right: access.AlarmsChange}
}

func pathsQuestion() control.Operation {
	return control.Operation{Name: "alarm paths", Method: http.MethodGet, Path: "/alarm-paths", Doc: "Show the ways by which people are told of alarms", Right: access.AlarmsRead}
}

func testQuestion() control.Operation {
	return control.Operation{Name: "alarm test", Method: http.MethodPost, Path: "/alarm-paths/test", Doc: "Send a notice that nothing is wrong, and show what each way answers", Right: access.AlarmsChange, Time: 90 * time.Second}
}

// Desk is what the operations are about.
type Desk struct {
	Book *alarm.Book
	Node string
	// Elsewhere returns the alarms that stand at other nodes; nil where there are none, or while the control data is away.
	Elsewhere func(ctx context.Context) (map[string][]alarm.Alarm, error)
}

// Operations are what can be asked about alarms.
func Operations(d *Desk) []control.Operation {
	return []control.Operation{
		control.Define(listQuestion(), d.list), control.Define(showQuestion(), d.show), control.Define(ackQuestion(), d.ack), control.Define(unackQuestion(), d.unack),
		control.Define(pathsQuestion(), d.paths), control.Define(testQuestion(), d.test),
	}
}

func (d *Desk) list(ctx context.Context, in *api.AlarmQuery) (*api.Alarms, error) {
	out := &api.Alarms{Alarms: []api.Alarm{}}
	add := func(node string, all []alarm.Alarm) {
		for i := range all {
			if in.Severity == "" || all[i].Severity.AtLeast(alarm.Severity(in.Severity)) {
				out.Alarms = append(out.Alarms, api.Alarm{Node: node, Alarm: all[i]})
			}
		}
	}
	add(d.Node, d.Book.List(in.All))
	if d.Elsewhere != nil {
		others, err := d.Elsewhere(ctx)
		if err != nil {
			out.Trouble = "alarms of other nodes are not known: " + err.Error()
		}
		for _, node := range slices.Sorted(maps.Keys(others)) {
			add(gateway.CleanText(node, 255), cleaned(others[node]))
		}
	}
	name := func(a *api.Alarm) string { return a.Node + " " + a.ID }
	if in.Cursor != "" {
		at := slices.IndexFunc(out.Alarms, func(a api.Alarm) bool { return name(&a) == in.Cursor })
		if at < 0 {
			return nil, &control.Fault{Status: http.StatusConflict, Message: "the list has changed", Hint: "ask for it from the beginning", Field: "cursor"}
		}
		out.Alarms = out.Alarms[at+1:]
	}
	if len(out.Alarms) > in.Limit {
		out.Alarms = out.Alarms[:in.Limit]
		out.Next = name(&out.Alarms[in.Limit-1])
	}
	return out, nil
}

// cleaned makes of what another node wrote what can be shown: it may be of another version, or not ours.
func cleaned(all []alarm.Alarm) []alarm.Alarm {
	for i := range all {
		a := &all[i]
		for _, text := range []*string{&a.ID, &a.Kind, &a.Object, &a.Text, &a.Do, &a.Owner} {
			*text = gateway.CleanText(*text, 500)
		}
		if !a.Severity.Known() {
			a.Severity = alarm.Warning
		}
		if a.Ack != nil {
			a.Ack.By, a.Ack.Note = gateway.CleanText(a.Ack.By, 120), gateway.CleanText(a.Ack.Note, 500)
		}
	}
	return all
}

func (d *Desk) show(_ context.Context, in *api.AlarmName) (*api.Alarm, error) {
	a, ok := d.Book.Get(in.ID)
	if !ok {
		return nil, fault(alarm.ErrUnknown)
	}
	return &api.Alarm{Node: d.Node, Alarm: a}, nil
}

func (d *Desk) ack(ctx context.Context, in *api.AlarmAck) (*api.Alarm, error) {
	by := access.Of(ctx)
	a := alarm.Ack{By: by.Name, Note: in.Note}
	if in.For != "" {
		long, err := config.ParseDuration(in.For)
		if err != nil || long <= 0 {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: "for: is no time such as 2h or 3d", Field: "for"}
		}
		a.Until = time.Now().Add(long)
	}
	before, after, err := d.Book.Ack(ctx, in.ID, a, in.Owner)
	return d.changed(ctx, before, after, err)
}

func (d *Desk) unack(ctx context.Context, in *api.AlarmName) (*api.Alarm, error) {
	before, after, err := d.Book.Unack(ctx, in.ID)
	return d.changed(ctx, before, after, err)
}

func (d *Desk) changed(ctx context.Context, before, after alarm.Alarm, err error) (*api.Alarm, error) {
	if after.ID != "" { // also where it could not be kept over a restart
		control.Changed(ctx, control.Change{Object: after.ID, Before: before.Ack, After: after.Ack})
	}
	if err != nil {
		return nil, fault(err)
	}
	return &api.Alarm{Node: d.Node, Alarm: after}, nil
}

// fault words an error for whoever asked.
func fault(err error) error {
	switch {
	case errors.Is(err, alarm.ErrUnknown):
		return &control.Fault{Status: http.StatusNotFound, Message: err.Error(), Hint: "gatepost alarm list --all shows all that are known at this node"}
	case errors.Is(err, alarm.ErrOver):
		return &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	}
	return err
}

func (d *Desk) paths(context.Context, *struct{}) (*api.AlarmPaths, error) {
	out, stats := &api.AlarmPaths{Paths: []api.AlarmPath{}}, d.Book.Stats()
	for _, p := range d.Book.Paths() {
		line := api.AlarmPath{Least: string(p.Least), To: p.To, Stats: alarm.Stats{Path: p.Name}}
		if i := slices.IndexFunc(stats, func(s alarm.Stats) bool { return s.Path == p.Name }); i >= 0 {
			line.Stats = stats[i]
		}
		out.Paths = append(out.Paths, line)
	}
	return out, nil
}

func (d *Desk) test(ctx context.Context, in *api.AlarmTestOf) (*api.AlarmTest, error) {
	out := &api.AlarmTest{Paths: d.Book.Test(ctx, rand.Text()[:16], in.Path)}
	if len(out.Paths) == 0 {
		f := &control.Fault{Status: http.StatusConflict, Message: "there is no path by which anybody is told", Hint: "write alarms.mail, alarms.webhook or alarms.syslog into policy.toml"}
		if in.Path != "" {
			f.Message = "there is no path of that name in the policy in force"
		}
		return nil, f
	}
	control.Changed(ctx, control.Change{Object: "paths", After: out.Paths})
	return out, nil
}
