package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says what each package may import of ours. A name ending in "/..." is the package and all below it. What is not
// named may import gateway only. Engines, which import nothing of ours, are named in engines.
var arrows = map[string][]string{
	"cmd/gatepost":                  {"..."},
	"cmd/gatepost/...":              {"..."},
	"cmd/gatepost-bundle":           {"appliance/bundle", "appliance/minisign"},
	"appliance/bundle":              {"appliance/minisign"},
	"appliance/update":              {"appliance/bundle", "appliance/minisign", "internal/durable"},
	"cmd/imagetool":                 {"appliance/image"},
	"internal/importer":             {"internal/importer/...", "internal/smtpwire", "internal/freemail", "rbl"},
	"gateway":                       {},
	"gateway/accept":                {"gateway", "internal/authres", "internal/mime"},
	"gateway/smtpd":                 {"gateway", "gateway/accept", "internal/smtpwire"},
	"gateway/relay":                 {"gateway", "tls/...", "internal/smtpwire"},
	"gateway/recipients":            {"gateway", "gateway/relay"},
	"gateway/spool":                 {"gateway", "internal/durable"},
	"gateway/quarantine":            {"gateway", "internal/durable"},
	"gateway/digest":                {"gateway", "gateway/quarantine"},
	"console/portal":                {"internal/seats"},
	"gateway/reports":               {"gateway", "internal/dmarcreport", "tls/tlsrpt"},
	"gateway/received":              {"gateway", "internal/dmarcreport", "internal/mime", "internal/unpack", "internal/unpack/received", "tls/tlsrpt"},
	"internal/store":                {"gateway", "gateway/quarantine", "gateway/reports", "gateway/received", "greylist", "internal/dmarcreport", "internal/durable", "internal/store/pg"},
	"internal/replay":               {"gateway", "internal/api", "internal/store"},
	"filters":                       {"gateway", "gateway/recipients", "rbl", "greylist", "internal/..."},
	"console":                       {"gateway", "internal/access", "internal/api", "internal/config", "internal/control", "internal/seats"},
	"internal/arc":                  {"internal/dkim"},
	"internal/clamd":                {"internal/addrpool"},
	"internal/spamd":                {"internal/addrpool"},
	"internal/rspamd":               {"internal/addrpool"},
	"internal/milter":               {"internal/addrpool"},
	"internal/config":               {"gateway", "rbl", "internal/smtpwire", "internal/freemail"},
	"internal/ownlist":              {"internal/durable", "internal/freemail", "internal/smtpwire"},
	"internal/routing":              {"gateway", "internal/smtpwire"},
	"internal/rules":                {"gateway", "internal/author"},
	"greylist/storetest":            {"greylist"},
	"internal/reputation/storetest": {"internal/reputation"},
	"internal/redis":                {"gateway/ledger", "greylist", "internal/limit", "internal/reputation"},
	"internal/memory":               {"gateway", "greylist", "internal/limit", "internal/reputation"},
	"internal/shaping":              {"greylist", "internal/limit", "internal/redis", "internal/reputation"},
	"internal/unpack/archive":       {"internal/unpack"},
	"internal/unpack/office":        {"internal/unpack", "internal/unpack/lzfu"},
	"internal/unpack/pdf":           {"internal/unpack"},
	"internal/unpack/tnef":          {"internal/unpack", "internal/unpack/lzfu"},
	"internal/unpack/web":           {"internal/unpack", "internal/links"},
	"internal/unpack/image":         {"internal/unpack"},
	"internal/unpack/received":      {"internal/unpack", "internal/dmarcreport", "tls/tlsrpt"},
	"internal/lab":                  {"gateway", "internal/..."},
	"internal/lab/...":              {"gateway", "internal/..."},
	"internal/lab/imageboot":        {"gateway", "internal/...", "appliance/backup", "appliance/reset"}, // what an owner has at hand: a key, and the words
	"internal/handover":             {"internal/smtpwire"},
	"internal/doctor":               {"internal/smtpwire"},
	"tls/certs":                     {"internal/durable"},
	"tls/certs/acme":                {"tls/certs", "internal/durable"},
	"tls/mtasts":                    {"internal/durable"},
	"internal/control":              {"internal/access"},
	"internal/control/controltest":  {"internal/access", "internal/control"},
	"internal/api":                  {"gateway", "gateway/...", "internal/access", "internal/alarm"},
	"internal/cli":                  {"gateway", "internal/config", "internal/control"},
	"internal/audit":                {"internal/access", "internal/control", "internal/cli", "internal/durable"},
	"internal/versions":             {"internal/config", "internal/durable"},
	"internal/store/admin":          {"internal/access", "internal/audit", "internal/versions", "internal/accounts", "internal/alarm", "internal/ownlist", "internal/store/pg", "internal/hits"},
	"internal/sshd":                 {"internal/durable", "internal/seats"},
	"internal/accounts":             {"internal/access"},
	"internal/accounts/storetest":   {"internal/access", "internal/accounts"},
	"internal/alarm":                {"gateway", "internal/hook"},
	"internal/alarm/storetest":      {"internal/alarm"},
	"appliance/network":             {"appliance/network/volume", "internal/durable"},
	"appliance/backup":              {"internal/durable"},
	"appliance/forward":             {"internal/durable"},
	"appliance/reset":               {"internal/durable"},
	"appliance/settings":            {"internal/durable"},
	"appliance/backup/targets":      {"appliance/backup", "internal/durable"},
	"internal/archtest":             {},
}

// engines know one subject and nothing of Gatepost. What one imports of ours, another leaf, is in arrows.
var engines = []string{"appliance/minisign", "appliance/bundle", "appliance/update", "appliance/backup", "appliance/backup/targets", "appliance/reset", "internal/cutover", "internal/importer/postfix", "internal/importer/pmg", "internal/importer/lists",
	"rbl", "greylist", "tls/certs", "tls/certs/acme", "tls/dane", "tls/mtasts", "tls/tlsrpt", "internal/dns", "internal/spf",
	"internal/dkim", "internal/dmarc", "internal/dmarcreport", "internal/dsn", "internal/author", "internal/authres", "internal/clamd", "internal/spamd", "internal/rspamd", "internal/icap",
	"internal/milter", "internal/mime", "internal/filetype", "internal/links", "internal/confusable", "internal/hook", "internal/unpack", "internal/unpack/archive", "internal/unpack/office",
	"internal/unpack/pdf", "internal/unpack/tnef", "internal/unpack/lzfu", "internal/unpack/web", "internal/unpack/image", "internal/unpack/received", "internal/limit", "internal/smtpwire", "internal/addrpool",
	"internal/directory", "internal/ldapdir", "internal/oidc", "internal/systemd", "internal/durable", "internal/handover", "internal/sandbox", "internal/resources", "internal/reputation", "internal/doctor", "internal/freemail", "internal/access", "internal/seats", "internal/sshd",
	"appliance/firewall", "appliance/screen", "appliance/forward", "appliance/image", "appliance/network", "appliance/network/volume", "appliance/settings"}

// owners says which folder may import a third-party module outside of tests. golang.org/x is free but for x/time.
var owners = map[string][]string{
	"filippo.io/age":                      {"appliance/backup"},
	"go.yaml.in/yaml":                     {"appliance/network"},
	"github.com/minio/minio-go":           {"appliance/backup/targets"},
	"github.com/miekg/dns":                {"internal/dns", "internal/lab/..."},
	"github.com/redis/go-redis":           {"internal/redis"},
	"github.com/go-ldap/ldap":             {"internal/ldapdir"},
	"github.com/coreos/go-oidc":           {"internal/oidc"},
	"github.com/go-webauthn/webauthn":     {"internal/accounts"},
	"golang.org/x/time":                   {"internal/limit"},
	"cel.dev/cel-go":                      {"internal/rules"},
	"github.com/emersion/go-smtp":         {"gateway/smtpd", "gateway/relay", "internal/smtpwire", "internal/lab/..."},
	"github.com/emersion/go-msgauth":      {"gateway/reports"},
	"github.com/emersion/go-sasl":         {"internal/lab/..."},
	"github.com/dutchcoders/go-clamd":     {"internal/clamd"},
	"github.com/pelletier/go-toml":        {"internal/config"},
	"github.com/pires/go-proxyproto":      {"gateway/smtpd"},
	"github.com/pkg/sftp":                 {"appliance/backup/targets"},
	"github.com/goreleaser/nfpm":          {"cmd/gatepost-package"}, // a module of its own
	"github.com/prometheus/client_golang": {"gateway/journal"},
	"modernc.org/sqlite":                  {"internal/store", "internal/store/admin"},
	"github.com/jackc/pgx":                {"internal/store/..."},
	"github.com/coreos/go-systemd":        {"internal/systemd"},
	"github.com/landlock-lsm/go-landlock": {"internal/sandbox"},
	"github.com/gabriel-vasile/mimetype":  {"internal/filetype"},
	"github.com/cespare/xxhash":           {"internal/store"},
	"github.com/klauspost/compress":       {"internal/unpack/archive", "gateway/quarantine", "internal/store"},
	"github.com/bodgit/sevenzip":          {"internal/unpack/archive"},
	"github.com/nwaples/rardecode":        {"internal/unpack/archive"},
	"github.com/ulikunitz/xz":             {"internal/unpack/archive"},
	"github.com/richardlehane/mscfb":      {"internal/unpack/office"},
	"github.com/makiuchi-d/gozxing":       {"internal/unpack/image", "console"},
}

// topLevel are the folders of the design.
var topLevel = []string{"cmd", "gateway", "filters", "rbl", "greylist", "tls", "appliance", "rootfs", "scripts", "console", "docs", "internal"}

type source struct {
	pkg  string // folder below the module's root
	file string
	tree *ast.File
	test bool
}

func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var out []source
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && name != root) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		out = append(out, source{pkg: path.Dir(filepath.ToSlash(rel)), file: filepath.ToSlash(rel), tree: tree, test: strings.HasSuffix(name, "_test.go")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files were found below %s", len(out), root)
	}
	return out
}

// under reports whether the package is what the pattern names.
func under(pkg, pattern string) bool {
	if base, all := strings.CutSuffix(pattern, "..."); all {
		return base == "" || pkg == strings.TrimSuffix(base, "/") || strings.HasPrefix(pkg, base)
	}
	return pkg == pattern
}

func allowed(pkg string) []string {
	if slices.Contains(engines, pkg) {
		return arrows[pkg]
	}
	if list, ok := arrows[pkg]; ok {
		return list
	}
	for pattern, list := range arrows {
		if strings.HasSuffix(pattern, "/...") && under(pkg, pattern) {
			return list
		}
	}
	return []string{"gateway"}
}

// TestArrows shows that no package imports one of ours that the design does not draw. Tests may import what they drive,
// but for engines, whose tests stay leaves too, with the lab as their world.
func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		may := allowed(s.pkg)
		if s.test {
			may = append(slices.Clone(may), "internal/lab/...")
			if !slices.Contains(engines, s.pkg) && s.pkg != "gateway" {
				may = []string{"..."}
			}
		}
		for _, i := range s.tree.Imports {
			to, _ := strconv.Unquote(i.Path.Value)
			to, ours := strings.CutPrefix(to, "gatepost/")
			if !ours || to == s.pkg {
				continue
			}
			if !slices.ContainsFunc(may, func(p string) bool { return under(to, p) }) {
				t.Errorf("%s imports %s, which the design does not draw; allowed: %v", s.file, to, may)
			}
		}
	}
}

// TestOwners shows that each third-party module is imported by the one folder that hides it, and that the contract
// imports the standard library only.
func TestOwners(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.tree.Imports {
			to, _ := strconv.Unquote(i.Path.Value)
			// The console pays for it, since it escapes by context (decision 063). Others would hide what it costs.
			if (to == "text/template" || to == "html/template" && !under(s.pkg, "console/...")) && !s.test && !strings.HasPrefix(s.pkg, "internal/lab") {
				t.Errorf("%s imports %s, which calls methods by their names: only the console may", s.file, to)
			}
			if !strings.Contains(strings.SplitN(to, "/", 2)[0], ".") {
				continue
			}
			if s.pkg == "gateway" {
				t.Errorf("%s imports %s: the contract imports the standard library only", s.file, to)
			}
			if s.test || strings.HasPrefix(to, "golang.org/x/") && !strings.HasPrefix(to, "golang.org/x/time") {
				continue
			}
			known := false
			for module, folders := range owners {
				if to != module && !strings.HasPrefix(to, module+"/") {
					continue
				}
				known = true
				if !slices.ContainsFunc(folders, func(p string) bool { return under(s.pkg, p) }) {
					t.Errorf("%s imports %s, which belongs to %v", s.file, to, folders)
				}
			}
			if !known {
				t.Errorf("%s imports %s, which no folder owns: add it to the table and write a decision record", s.file, to)
			}
		}
	}
}

// TestHouse shows the rules that a machine can see: no init, no exit outside cmd, no package named tls, no file over 400
// lines, no function over 100, a package comment everywhere, and only the folders of the design.
func TestHouse(t *testing.T) {
	commented := map[string]bool{}
	packages := map[string]bool{}
	for _, s := range sources(t) {
		if s.tree.Name.Name == "tls" {
			t.Errorf("%s: no package is ever named tls", s.file)
		}
		if !s.test {
			packages[s.pkg] = true
			commented[s.pkg] = commented[s.pkg] || s.tree.Doc != nil
		}
		if !slices.Contains(topLevel, strings.SplitN(s.pkg, "/", 2)[0]) {
			t.Errorf("%s: %s is no folder of the design", s.file, s.pkg)
		}
		house(t, s)
	}
	for pkg := range packages {
		if !commented[pkg] {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

func house(t *testing.T, s source) {
	text, err := os.ReadFile("../../" + s.file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 400 && !s.test {
		t.Errorf("%s has %d lines, at most 400", s.file, n)
	}
	line := func(p token.Pos) int { return strings.Count(string(text[:int(p)-int(s.tree.FileStart)]), "\n") }
	for _, d := range s.tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || s.test {
			continue
		}
		if f.Name.Name == "init" && f.Recv == nil {
			t.Errorf("%s has an init", s.file)
		}
		if n := line(f.End()) - line(f.Pos()) + 1; n > 100 {
			t.Errorf("%s: %s has %d lines, at most 100", s.file, f.Name.Name, n)
		}
	}
	if s.test || strings.HasPrefix(s.pkg, "cmd/") || strings.HasPrefix(s.pkg, "internal/lab") && s.tree.Name.Name == "main" {
		return
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "os" && sel.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
				t.Errorf("%s ends the process: only cmd may", s.file)
			}
		}
		return true
	})
}
