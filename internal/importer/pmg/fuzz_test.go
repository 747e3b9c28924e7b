package pmg

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

func backup(sql, conf, domains string) []byte {
	pack := func(files ...[2]string) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, f := range files {
			_ = w.WriteHeader(&tar.Header{Name: f[0], Size: int64(len(f[1])), Typeflag: tar.TypeReg})
			_, _ = w.Write([]byte(f[1]))
		}
		_ = w.Close()
		return out.Bytes()
	}
	inner := pack([2]string{"etc/pmg/pmg.conf", conf}, [2]string{"etc/pmg/domains", domains})
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(pack([2]string{"Proxmox_ruledb.sql", sql}, [2]string{"config_backup.tar", string(inner)}))
	_ = z.Close()
	return out.Bytes()
}

// TestBomb shows that an archive that grows when it is read is an error, also where what grows is nothing that is kept.
func TestBomb(t *testing.T) {
	bomb := backup("", "", "")
	if _, err := read(bytes.NewReader(bomb), 1<<20); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	_ = w.WriteHeader(&tar.Header{Name: "Proxmox_statdb.sql", Size: 3 << 20, Typeflag: tar.TypeReg})
	_, _ = w.Write(make([]byte, 3<<20))
	_ = w.Close()
	_ = z.Close()
	if _, err := read(bytes.NewReader(out.Bytes()), 2<<20); err == nil || !strings.Contains(err.Error(), "larger than 2 MiB") {
		t.Errorf("%d octets: %v", out.Len(), err)
	}
}

// FuzzBackup reads what is in a backup, whatever it is: rows without columns, groups that are not there, escapes that end early.
func FuzzBackup(f *testing.F) {
	f.Add("COPY objectgroup (id, name, info, class) FROM stdin;\n1\ta\t\\N\twho\n\\.\nCOPY public.object (id, objecttype, objectgroup_id, value) FROM stdin;\n"+
		"1\t1001\t1\t\\\\x6161\n2\t1000\t1\ta\\\\\\\\b\\\\303\n\\.\n", "section: mail\n\tmaxsize 1\n", "#c\nexample.org 1\n")
	f.Add("COPY rule () FROM stdin;\n\n\\\n", "\tx y\nsection:\n", "# \n#\n1.2.3.0/8 # x # y")
	f.Add("COPY rulegroup (rule_id,objectgroup_id,grouptype) FROM stdin;\n-1\t99999999999999999999\t-5\n", "", "")
	f.Fuzz(func(t *testing.T, sql, conf, domains string) {
		b, err := Read(bytes.NewReader(backup(sql, conf, domains)))
		if err != nil {
			return
		}
		for _, l := range Lines(b.Files["domains"]) {
			if l.Text == "" && l.Comment == "" {
				continue
			}
		}
		for _, r := range b.Rules.Rules {
			if len(r.Name) > 1000 {
				t.Errorf("a name has %d octets", len(r.Name))
			}
			Has(r.From, Spam)
		}
		for _, g := range b.Rules.Groups {
			for _, o := range g.Objects {
				Kind(o.Type)
			}
		}
	})
}
