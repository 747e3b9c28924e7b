package settings

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	leaf "gatepost/appliance/settings"
	"gatepost/appliance/update"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// putTime is how long a file may take to come.
const putTime = time.Minute

// nextStart is said of a file that is in use.
const nextStart = "the settings in force name it: what was put takes effect when the appliance restarts"

// notWith is said of one with which they cannot be used.
const notWith = "the settings in force name it, and cannot be used with it: put another in its place before the appliance restarts: "

func listQuestion() control.Operation {
	return control.Look("appliance file list", "/appliance/files", "List the files of the appliance that gatepost.toml can name, without what is in them", access.ApplianceChange)
}

func putQuestion() control.Operation {
	o := control.Do("appliance file put", "/appliance/files/{name}", "Keep a file that gatepost.toml can name, in place of one of that name", access.ApplianceChange)
	o.Upload, o.Body, o.Time = true, leaf.MaxFile+1, putTime // one more is refused in words
	return o
}

func removeQuestion() control.Operation {
	return control.Operation{Name: "appliance file remove", Method: http.MethodDelete, Path: "/appliance/files/{name}", Doc: "Remove a file that gatepost.toml does not name", Right: access.ApplianceChange}
}

// fileIn names a file.
type fileIn struct {
	Name string `path:"name" json:"-" doc:"of the file: 1 to 64 of A-Z a-z 0-9 . _ - and no dot before"`
}

func (d *Desk) list(ctx context.Context, _ *struct{}) (*api.ApplianceFiles, error) {
	if _, err := d.Ask(ctx, update.DoStatus); errors.Is(err, update.ErrNoAppliance) {
		return &api.ApplianceFiles{None: none, Files: []api.ApplianceFile{}}, nil
	}
	return d.files()
}

func (d *Desk) files() (*api.ApplianceFiles, error) {
	all, err := d.Machine.Files()
	if err != nil {
		return nil, err
	}
	out := &api.ApplianceFiles{Folder: d.Machine.Path(""), Files: []api.ApplianceFile{}}
	named := d.named()
	for _, f := range all {
		out.Files = append(out.Files, api.ApplianceFile{Name: f.Name, Octets: f.Octets, Time: f.Time, SHA256: f.Sum, Used: named(f.Name)})
	}
	return out, nil
}

// named tells of a file whether it is needed: by what is in force, and by the settings that come back where those that are on trial go.
func (d *Desk) named() func(name string) bool {
	inForce := d.Named()
	before := ""
	if d.Machine.OnTrial() {
		if text, err := d.Machine.Before(); err == nil {
			before = string(text)
		}
	}
	return func(name string) bool {
		path := d.Machine.Path(name)
		return slices.ContainsFunc(inForce, func(x string) bool { return filepath.Clean(x) == path }) || strings.Contains(before, path+"\"") || strings.Contains(before, path+"'")
	}
}

func (d *Desk) put(ctx context.Context, in *fileIn, body io.Reader) (*api.ApplianceFiles, error) {
	control.Changed(ctx, control.Change{Object: "file " + gateway.CleanText(in.Name, 64)})
	if _, err := d.appliance(ctx); err != nil {
		return nil, err
	}
	if err := leaf.CheckName(in.Name); err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Field: "name", Message: err.Error()}
	}
	text, err := io.ReadAll(io.LimitReader(body, leaf.MaxFile+1))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge || len(text) > leaf.MaxFile {
		return nil, &control.Fault{Status: http.StatusRequestEntityTooLarge, Field: "file", Message: "the file has more than 64 KiB, which is the most that is taken"}
	}
	if err != nil {
		if f, ok := errors.AsType[*control.Fault](err); ok {
			return nil, f
		}
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "the file broke off: nothing was changed", Hint: "send it again"}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.Machine.PutFile(in.Name, text); errors.Is(err, leaf.ErrMany) {
		return nil, refused(http.StatusConflict, err)
	} else if err != nil {
		return nil, err
	}
	out, err := d.files()
	if err != nil {
		return nil, err
	}
	for _, f := range out.Files {
		if f.Name == in.Name {
			control.Changed(ctx, control.Change{Object: "file " + f.Name, After: map[string]int64{"octets": f.Octets}}) // a sum of a short secret would tell it
			if f.Used {
				out.Note = d.taken(ctx)
			}
		}
	}
	return out, nil
}

// taken is what is said of a file that was put in place of one in use. No trial leads back from it, so that whoever put it has to hear now
// where nothing starts with it.
func (d *Desk) taken(ctx context.Context) string {
	s, err := d.Machine.State(time.Now())
	if err != nil {
		return nextStart
	}
	problems := d.Check(ctx, []byte(s.Text))
	if !problems.Refused() {
		return nextStart
	}
	return notWith + strings.Join(lines(problems, false), "; ")
}

func (d *Desk) remove(ctx context.Context, in *fileIn) (*api.ApplianceFiles, error) {
	control.Changed(ctx, control.Change{Object: "file " + gateway.CleanText(in.Name, 64)})
	if _, err := d.appliance(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if leaf.CheckName(in.Name) == nil && d.named()(in.Name) {
		return nil, &control.Fault{Status: http.StatusConflict, Field: "name", Message: "the settings name " + d.Machine.Path(in.Name) + ": it stays", Hint: "change the settings first, and confirm them"}
	}
	if err := d.Machine.RemoveFile(in.Name); errors.Is(err, leaf.ErrNoFile) {
		return nil, refused(http.StatusNotFound, err)
	} else if err != nil {
		return nil, err
	}
	return d.files()
}
