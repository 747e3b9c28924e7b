package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// BrowserOptions say what a browser looks at, and as what.
type BrowserOptions struct {
	Base     string // of the console, https://...; its certificate is not looked at
	Out      string // folder for pictures; it is made
	Width    int    // of the window in px; 0: 1280
	Scheme   string // "light" or "dark"; "": light
	NoScript bool   // the browser runs no script of pages
	Hosts    string // where names lead, further than those below gatepost.test, as --host-resolver-rules of Chromium has it: "MAP name 127.0.0.1:8443"
}

// Browser is Debian's Chromium, driven by node with the steps of internal/lab/browser.
type Browser struct {
	*Process
	out     string
	ask     *os.File
	answers *bufio.Reader
	reader  *os.File
}

// browserFolder is where the steps are, and node_modules beside them, which scripts/install makes.
const browserFolder = "internal/lab/browser"

// StartBrowser starts one. All that it needs must be there.
func StartBrowser(ctx context.Context, dir string, o BrowserOptions) (*Browser, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("browser: node is missing; scripts/install installs it (Debian: nodejs)")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, errors.New("browser: Chromium is missing; scripts/install installs it (Debian: chromium)")
	}
	if _, err := os.Stat(filepath.Join(root, browserFolder, "node_modules", "playwright-core")); err != nil {
		return nil, errors.New("browser: playwright-core is missing; scripts/install installs it (npm ci in " + browserFolder + ")")
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	steps, ask, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	reader, answers, err := os.Pipe()
	if err != nil {
		steps.Close()
		ask.Close()
		return nil, fmt.Errorf("browser: %w", err)
	}
	script := ""
	if o.NoScript {
		script = "off"
	}
	width := o.Width
	if width == 0 {
		width = 1280
	}
	p, err := start(command{name: "browser", path: node, args: []string{filepath.Join(root, browserFolder, "driver.mjs")}, dir: dir,
		env: []string{"BASE=" + o.Base, "OUT=" + o.Out, fmt.Sprintf("WIDTH=%d", width), "SCHEME=" + o.Scheme, "SCRIPT=" + script, "HOSTS=" + o.Hosts, "CHROMIUM=" + chromium},
		log: filepath.Join(dir, "browser.log"), files: []*os.File{steps, answers}})
	steps.Close() // it has its own; an end of it is an end of what is read
	answers.Close()
	if err != nil {
		ask.Close()
		reader.Close()
		return nil, err
	}
	b := &Browser{Process: p, out: o.Out, ask: ask, reader: reader, answers: bufio.NewReader(reader)}
	if _, err := b.answer(ctx, "start"); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

// stepTime bounds a step, which may look at a page several times on a machine that does other things.
const stepTime = 3 * time.Minute

// Step runs a step, such as "log.find", and reads what it returns into out unless that is nil. What the step found wrong, and
// what no page may do, is an error.
func (b *Browser) Step(ctx context.Context, name string, args, out any) error {
	line, err := json.Marshal(map[string]any{"step": name, "args": args})
	if err != nil {
		return fmt.Errorf("browser: %s: %w", name, err)
	}
	if _, err := b.ask.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("browser: %s: %w\n%s", name, err, b.Log())
	}
	value, err := b.answer(ctx, name)
	if err == nil && out != nil {
		err = json.Unmarshal(value, out)
	}
	return err
}

func (b *Browser) answer(ctx context.Context, name string) (json.RawMessage, error) {
	deadline := time.Now().Add(stepTime)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := b.reader.SetReadDeadline(deadline); err != nil {
		return nil, fmt.Errorf("browser: %s: %w", name, err)
	}
	line, err := b.answers.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("browser: %s: %w\n%s", name, err, b.Log())
	}
	var a struct {
		Value  json.RawMessage `json:"value"`
		Faults []string        `json:"faults"`
		Error  string          `json:"error"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, fmt.Errorf("browser: %s: %w", name, err)
	}
	if a.Error != "" {
		a.Faults = append([]string{a.Error}, a.Faults...)
	}
	if len(a.Faults) > 0 {
		return nil, fmt.Errorf("browser: %s:\n  %s\n  (pictures: %s)", name, strings.Join(a.Faults, "\n  "), b.out)
	}
	return a.Value, nil
}

// Stop closes the browser.
func (b *Browser) Stop() error {
	defer b.reader.Close()
	b.ask.Close() // its last step was the last
	select {
	case <-b.Done():
	case <-time.After(20 * time.Second):
	}
	return b.Process.Stop()
}
