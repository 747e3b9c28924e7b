package weekly

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

func showQuestion() control.Operation {
	return control.Operation{Name: "report weekly", Method: http.MethodGet, Path: "/weekly-report", Doc: "Make the report of the week that ends now, and mail it to nobody", Right: access.SystemRead, Time: workTime}
}

func sendQuestion() control.Operation {
	return control.Operation{Name: "report weekly send", Method: http.MethodPost, Path: "/weekly-report/send", Doc: "Mail the report of the week now", Right: access.AlarmsChange, Time: workTime}
}

// Operations are what can be asked about the report.
func (p *Post) Operations() []control.Operation {
	return []control.Operation{control.Define(showQuestion(), p.show), control.Define(sendQuestion(), p.send)}
}

func (p *Post) show(ctx context.Context, _ *struct{}) (*api.WeeklyText, error) {
	now := time.Now()
	out := &api.WeeklyText{Report: p.Make(ctx, now), Next: p.when(now), To: []string{}}
	if plan := p.Plan(); plan != nil {
		out.To = plan.To
	}
	out.Text = Text(out.Report)
	return out, nil
}

func (p *Post) send(ctx context.Context, _ *struct{}) (*api.WeeklySent, error) {
	plan := p.Plan()
	if plan == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "there is nobody to mail it to, or alarms.weekly.day is off", Hint: "write alarms.mail.to and alarms.mail.smarthost into policy.toml"}
	}
	said, err := p.mail(ctx, plan, time.Now())
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadGateway, Message: "it was not taken: " + err.Error(), Hint: "gatepost alarm test mail shows what the smarthost answers"}
	}
	control.Changed(ctx, control.Change{Object: "weekly report", After: plan.To})
	return &api.WeeklySent{To: plan.To, Said: said}, nil
}

// Commands are those of gatepost report.
func Commands() []cli.Command {
	return []cli.Command{{Words: "report weekly", Args: "[--print | --send] [--config PATH] [--json]", Doc: "show the report of the week that ends now, which is mailed once a week; --send: mail it now", Run: run}}
}

func run(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "report weekly")
	print, send := f.Bool("print", false, ""), f.Bool("send", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *print && *send {
		fmt.Fprintln(e.Err, "gatepost report weekly: --print or --send, not both")
		return cli.Usage
	}
	if *send {
		out, err := cli.Call[api.WeeklySent](ctx, e, f, sendQuestion(), &struct{}{})
		return cli.Reply(e, f, "report weekly", out, err, func(s *api.WeeklySent) {
			fmt.Fprintf(e.Err, "mailed to %s: %s\n", strings.Join(s.To, ", "), cli.Shown(s.Said, 300))
		})
	}
	out, err := cli.Call[api.WeeklyText](ctx, e, f, showQuestion(), &struct{}{})
	return cli.Reply(e, f, "report weekly", out, err, func(r *api.WeeklyText) {
		fmt.Fprint(e.Out, r.Text)
		if r.Next == "" {
			fmt.Fprintln(e.Err, "it is mailed to nobody")
		} else {
			fmt.Fprintf(e.Err, "it is mailed to %s, next on %s\n", strings.Join(r.To, ", "), r.Next)
		}
	})
}
