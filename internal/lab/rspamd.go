package lab

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// RspamdPassword is that of the controllers of private rspamds; it protects nothing.
const RspamdPassword = "lab"

// RspamdOptions change an rspamd.
type RspamdOptions struct {
	// Words are further rules: a message that has the text gets the points.
	Words []RspamdWord
	// Redis is the host:port where it keeps what it learns. Empty: it learns nothing.
	Redis string
}

// RspamdWord is one rule.
type RspamdWord struct {
	Symbol, Text string
	Points       float64
}

// Rspamd is a private rspamd with a few rules of its own and no way to any network: all of Debian's rules
// take many seconds to compile, and ask maps and lists of the internet.
type Rspamd struct {
	*Process
	Addr       string // host:port of the normal worker
	Controller string // host:port of the controller, whose password is RspamdPassword
	Milter     string // host:port of the proxy in milter mode
}

// Stop ends it at once, with all its workers: asked by SIGTERM, its main process now and then waits for them longer than any
// grace time, and it has nothing to write.
func (r *Rspamd) Stop() error {
	if !r.Running() {
		return nil
	}
	return r.Kill()
}

// rspamdConf is its configuration: %[1]s is its folder, %[2]s to %[4]s are its ports.
const rspamdConf = `
options {
  pidfile = "%[1]s/pid"; control_socket = "%[1]s/c mode=0600"; tempdir = "%[1]s"; hs_cache_dir = "%[1]s/";
  dynamic_conf = "%[1]s/dynamic"; stats_file = "%[1]s/stats"; url_tld = "%[1]s/tlds";
  filters = "chartable"; explicit_modules = []; local_addrs = []; gtube_patterns = "all"; task_timeout = 8s;
  dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "console"; level = "notice"; }
lua = "%[1]s/rules.lua";
modules { path = "%[1]s/modules"; }
group "statistics" { symbols { BAYES_SPAM { weight = 5.1; } BAYES_HAM { weight = -3.0; } } }
actions { reject = 15; add_header = 6; greylist = 4; }
worker "normal" { bind_socket = "%[2]s"; count = 1; }
worker "controller" { bind_socket = "%[3]s"; count = 1; password = "` + RspamdPassword + `"; enable_password = "` + RspamdPassword + `"; secure_ip = []; }
worker "rspamd_proxy" {
  bind_socket = "%[4]s"; milter = yes; timeout = 30s; count = 1; max_retries = 1; spam_header = "X-Spam";
  discard_on_reject = false; quarantine_on_reject = false; reject_message = "Spam message rejected";
  upstream "local" { default = yes; hosts = "%[2]s"; self_scan = yes; }
}
`

// rspamdBayes learns into a Redis at %s. (In files its workers wait for each other, and may begin without.)
const rspamdBayes = `
classifier "bayes" {
  tokenizer { name = "osb"; } cache { } min_tokens = 1; min_learns = 1; backend = "redis"; servers = "%s";
  statfile { symbol = "BAYES_HAM"; spam = false; } statfile { symbol = "BAYES_SPAM"; spam = true; }
}
`

// rspamdRule adds a rule that looks for a text.
const rspamdRule = `rspamd_config:register_symbol{ name = %[1]q, type = 'normal', score = %[3]g, callback = function(task)
  local c = task:get_content()
  if c and tostring(c):find(%[2]q, 1, true) then return true, 1.0, %[2]q end
  return false
end }
rspamd_config:set_metric_symbol{ name = %[1]q, score = %[3]g, description = %[1]q }
`

// StartRspamd starts an rspamd with its state in dir and waits until all its workers answer.
func StartRspamd(ctx context.Context, dir string, o RspamdOptions) (*Rspamd, error) {
	path, err := program("rspamd", "rspamd")
	if err != nil {
		return nil, err
	}
	who, err := ownerNamed("_rspamd", "nobody")
	if err != nil {
		return nil, err
	}
	if err := who.makeDirs(dir, filepath.Join(dir, "modules")); err != nil {
		return nil, err
	}
	var ports []*Port
	for range 3 {
		p, err := ReservePort()
		if err != nil {
			release(ports)
			return nil, err
		}
		ports = append(ports, p)
	}
	r := &Rspamd{Addr: ports[0].Addr(), Controller: ports[1].Addr(), Milter: ports[2].Addr()}
	conf := filepath.Join(dir, "rspamd.conf")
	if err := r.write(dir, conf, o); err != nil {
		release(ports)
		return nil, err
	}
	// It complains when it is root and is not told so; it never is here.
	r.Process, err = start(command{name: "rspamd", path: path, args: []string{"-f", "-i", "-c", conf}, dir: dir, owner: who,
		log: filepath.Join(dir, "rspamd.log"), ports: ports})
	if err != nil {
		release(ports)
		return nil, err
	}
	return r, r.awaitReady(ctx, func() bool { return r.pings(r.Addr) && r.pings(r.Controller) && listens(r.Milter) })
}

// write writes the configuration and the rules.
func (r *Rspamd) write(dir, conf string, o RspamdOptions) error {
	text := fmt.Sprintf(rspamdConf, dir, r.Addr, r.Controller, r.Milter)
	if o.Redis != "" {
		text += fmt.Sprintf(rspamdBayes, o.Redis)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return fmt.Errorf("rspamd: %w", err)
	}
	// The whole list of public suffixes takes seconds to compile.
	if err := os.WriteFile(filepath.Join(dir, "tlds"), []byte("com\nnet\norg\nexample\n"), 0o644); err != nil {
		return fmt.Errorf("rspamd: %w", err)
	}
	var rules strings.Builder
	for _, w := range o.Words {
		fmt.Fprintf(&rules, rspamdRule, w.Symbol, w.Text, w.Points)
	}
	if err := os.WriteFile(filepath.Join(dir, "rules.lua"), []byte(rules.String()), 0o644); err != nil {
		return fmt.Errorf("rspamd: %w", err)
	}
	return nil
}

// pings asks a worker once.
func (r *Rspamd) pings(addr string) bool {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/ping")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// listens says that somebody takes connections at host:port.
func listens(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
