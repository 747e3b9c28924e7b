package importer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/importer/pmg"
)

// tarred makes a tar of files.
func tarred(t *testing.T, files map[string]string, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ruleDatabase writes testdata/pmg/rules.txt as dump_table of pmg-api's src/PMG/Backup.pm does: COPY, with bytea in hexadecimal
// digits behind an escaped backslash.
func ruleDatabase(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/pmg/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]string{"objectgroup": "id, name, info, class", "object": "id, objecttype, objectgroup_id, value", "attribut": "object_id, name, value",
		"objectgroup_attributes": "objectgroup_id, name, value", "rule": "id, name, priority, active, direction, count",
		"rule_attributes": "rule_id, name, value", "rulegroup": "objectgroup_id, rule_id, grouptype", "userprefs": "pmail, name, data, mtime"}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		table, row, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(row, "\t")
		if last := &cells[len(cells)-1]; (table == "object" || strings.HasSuffix(table, "_attributes")) && *last != `\N` {
			*last = `\\x` + hex.EncodeToString([]byte(*last))
		}
		rows[table] += strings.Join(cells, "\t") + "\n"
	}
	out := "SET client_encoding = 'SQL_ASCII';\nSET check_function_bodies = false;\n\nBEGIN TRANSACTION;\n\n"
	for _, table := range []string{"objectgroup", "object", "attribut", "objectgroup_attributes", "rule", "rule_attributes", "rulegroup", "userprefs"} {
		out += "COPY " + table + " (" + columns[table] + ") FROM stdin;\n" + rows[table] + "\\.\n\n"
	}
	return out + "SELECT setval('rule_id_seq', max(id)) FROM rule;\n\nCOMMIT TRANSACTION;\n\n"
}

// pmgBackup makes a backup as pmg_backup_pack does.
func pmgBackup(t *testing.T) []byte {
	t.Helper()
	files, names := map[string]string{}, []string(nil)
	entries, err := os.ReadDir("testdata/pmg/etc-pmg")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join("testdata/pmg/etc-pmg", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files["etc/pmg/"+e.Name()] = string(data)
		names = append(names, "etc/pmg/"+e.Name())
	}
	files["etc/pmg/pmg-api.pem"] = "PRIVATE-KEY-SECRET"
	config := tarred(t, files, append(names, "etc/pmg/pmg-api.pem")...)
	return zipped(t, tarred(t, map[string]string{"./Proxmox_ruledb.sql": ruleDatabase(t), "./config_backup.tar": string(config),
		"./version.txt": "product: pmg-api\nversion: 8.2\nbackuptime:1700000000:x\n", "./proxmox_backup_v1.md5": "x"},
		"./config_backup.tar", "./Proxmox_ruledb.sql", "./version.txt", "./proxmox_backup_v1.md5"))
}

// TestPMG shows what a backup becomes: both documents and the report, with no secret in any.
func TestPMG(t *testing.T) {
	b, err := pmg.Read(bytes.NewReader(pmgBackup(t)))
	if err != nil {
		t.Fatal(err)
	}
	d := FromPMG(b, Options{Expires: time.Date(2027, 2, 24, 0, 0, 0, 0, time.UTC), Use: "commercial"})
	var report bytes.Buffer
	d.Report.Write(&report)
	golden(t, "testdata/pmg/want/gatepost.toml", []byte(d.Bootstrap.Text()))
	golden(t, "testdata/pmg/want/policy.toml", []byte(d.Policy.Text()))
	golden(t, "testdata/pmg/want/report.txt", report.Bytes())
	if all := report.String() + d.Bootstrap.Text() + d.Policy.Text(); strings.Contains(all, "SECRET") {
		t.Errorf("a secret is in:\n%s", all)
	}
	for _, r := range b.Rules.Rules {
		if !strings.Contains(report.String(), ": "+r.Name+" (priority ") {
			t.Errorf("rule %s is not in the report", r.Name)
		}
	}
}

// TestHostileBackups shows that an archive that is none, cut, or full of links is an error or nothing, and is never
// unpacked.
func TestHostileBackups(t *testing.T) {
	good := pmgBackup(t)
	var links bytes.Buffer
	w := tar.NewWriter(&links)
	for _, h := range []tar.Header{{Name: "config_backup.tar", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		{Name: "../../Proxmox_ruledb.sql", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}, {Name: "version.txt", Typeflag: tar.TypeChar}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	large := zipped(t, tarred(t, map[string]string{"Proxmox_ruledb.sql": strings.Repeat("x", 17<<20)}, "Proxmox_ruledb.sql"))
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":       {nil, "EOF"},
		"no gzip":     {[]byte("hello, this is no archive at all"), "invalid header"},
		"cut":         {good[:len(good)/2], "EOF"},
		"links":       {zipped(t, links.Bytes()), "neither"},
		"large":       {large, "larger than 16 MiB"},
		"another tar": {zipped(t, tarred(t, map[string]string{"readme": "x"}, "readme")), "neither"},
		"inner":       {zipped(t, tarred(t, map[string]string{"config_backup.tar": "x"}, "config_backup.tar")), "EOF"},
	} {
		if _, err := pmg.Read(bytes.NewReader(tt.data)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
