package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/appliance/backup"
	"gatepost/cmd/gatepost/backups"
	"gatepost/internal/cli"
)

// TestBackupDue: when one is made, after a good one, one that failed, none, and a clock that was set back.
func TestBackupDue(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, trouble string) backups.Outcome {
		return backups.Outcome{Target: "x", Tried: now.Add(-d), Error: trouble}
	}
	for name, c := range map[string]struct {
		last []backups.Outcome
		want bool
	}{
		"none yet":                {nil, true},
		"an hour ago":             {[]backups.Outcome{ago(time.Hour, "")}, false},
		"a day ago":               {[]backups.Outcome{ago(24*time.Hour, "")}, true},
		"failed a minute ago":     {[]backups.Outcome{ago(time.Minute, "away")}, false},
		"failed a while ago":      {[]backups.Outcome{ago(time.Hour, ""), ago(16*time.Minute, "away")}, true},
		"the clock was set back":  {[]backups.Outcome{ago(-time.Hour, "")}, true},
		"the clock jumped a bit":  {[]backups.Outcome{ago(-time.Second, "")}, false},
		"one of two is a day old": {[]backups.Outcome{ago(time.Hour, ""), ago(25*time.Hour, "")}, true},
	} {
		if got := backupDue(c.last, 24*time.Hour, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestBackupWell: what health says of targets.
func TestBackupWell(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	hours := func(n int) time.Time { return now.Add(-time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		last  []backups.Outcome
		since time.Time
		ok    bool
		want  string
	}{
		"none yet, just begun":  {nil, hours(1), true, "none was made yet"},
		"none for two days":     {nil, hours(50), false, "none was made yet"},
		"good":                  {[]backups.Outcome{{Target: "nas", Tried: hours(1), Good: hours(1)}}, hours(99), true, "nas: last good 2026-11-27 11:00 UTC"},
		"failed after good":     {[]backups.Outcome{{Target: "nas", Tried: hours(1), Good: hours(30), Error: "away"}}, hours(99), true, "nas: last good 2026-11-26 06:00 UTC; away"},
		"too old":               {[]backups.Outcome{{Target: "nas", Tried: hours(1), Good: hours(49), Error: "away"}}, hours(99), false, "too old; away"},
		"failed from the first": {[]backups.Outcome{{Target: "a", Tried: hours(1), Good: hours(1)}, {Target: "nas", Tried: hours(1), Error: "away"}}, hours(1), false, "nas: none yet; away"},
	} {
		ok, detail := backupWell(c.last, 24*time.Hour, c.since, now)
		if ok != c.ok || !strings.Contains(detail, c.want) {
			t.Errorf("%s: %v, %s", name, ok, detail)
		}
	}
}

// TestBackupRun makes backups for two targets, of which one is away at first, until the oldest go; what came of each is kept, and the good time
// of one that fails stays.
func TestBackupRun(t *testing.T) {
	private, public, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	id := file(t, work, "id", private+"\n", 0o600)
	disk, later := filepath.Join(work, "disk"), filepath.Join(work, "later")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	here := documents(t, "[backup]\nevery = \"24h\"\nkeep = 2\nrecipients = [\""+public+"\"]\n[[backup.target]]\nname = \"disk\"\ndirectory = \""+disk+"\"\n[[backup.target]]\nname = \"later\"\ndirectory = \""+later+"\"\n", servesOne)
	state := filepath.Join(here, "state")
	controlRows(t, state, 1)
	for _, old := range []string{"20260101T000000Z", "20260102T000000Z", "20260103T000000Z"} {
		file(t, disk, "gatepost-mx.example.org-"+old+".age", "x", 0o600)
	}
	outcomes := func() map[string]backups.Outcome {
		t.Helper()
		all, err := backups.Outcomes(state)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]backups.Outcome{}
		for _, o := range all {
			out[o.Target] = o
		}
		return out
	}
	if code, out, errOut := gatepost(t, "backup", "run", "--config", here); code != cli.Found || !strings.Contains(errOut, "later: "+later+" is not there: is its disk mounted?") || !strings.Contains(out, "disk: gatepost-mx.example.org-2") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	got := outcomes()
	if d, l := got["disk"], got["later"]; len(got) != 2 || d.Good.IsZero() || d.Error != "" || d.Octets == 0 || !l.Good.IsZero() || l.Error == "" {
		t.Errorf("%+v", got)
	}
	all, err := backups.In(disk)
	if err != nil || len(all) != 2 || filepath.Base(all[0].File) != got["disk"].File {
		t.Fatalf("%+v, %v", all, err)
	}
	if code, out, errOut := gatepost(t, "backup", "verify", all[0].File, "--identity", id); code != cli.Done {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	if left, err := os.ReadDir(filepath.Join(state, "backups", ".outgoing")); err != nil || len(left) > 0 {
		t.Errorf("on its way is still %v, %v", left, err)
	}
	if err := os.Rename(disk, later); err != nil { // now the other one is away
		t.Fatal(err)
	}
	was := got["disk"].Good
	if code, _, _ := gatepost(t, "backup", "run", "--config", here); code != cli.Found {
		t.Errorf("exit %d", code)
	}
	if got := outcomes(); !got["disk"].Good.Equal(was) || got["disk"].Error == "" || got["later"].Good.IsZero() {
		t.Errorf("%+v", got)
	}
}

// TestBackupRefused: what [backup] must not say.
func TestBackupRefused(t *testing.T) {
	const key, host = "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8", "[[backup.target]]\nname = \"n\"\n"
	for text, want := range map[string]string{
		"[backup]\nevery = \"24h\"\n":                                  "backup.every: nobody could open these backups; write recipients or passphrase_file",
		"[backup]\nevery = \"10m\"\nrecipients = [\"age1x\"]\n":        "backup.every: is less than an hour; write 1h or more",
		"[backup]\nrecipients = [\"ssh-ed25519 x\"]\n":                 "is no public key of age",
		"[backup]\nrecipients = [\"age1x\"]\npassphrase_file=\"/x\"\n": "backup.passphrase_file: and recipients are both there",
		host: "must have one place",
		host + "directory = \"/x\"\nbucket = \"b\"\n":                                                   "is for s3, and this is directory",
		host + "sftp = \"sftp://a@b/c\"\nca_file = \"/x\"\n":                                            "is for s3, and this is sftp",
		host + "s3 = \"https://h\"\nkey_file = \"/x\"\n":                                                "is for sftp, and this is s3",
		cloud("https://h", "credentials_file = \"/x\""):                                                 "bucket: is no name of a bucket",
		cloud("https://h", "bucket = \"UPPER\"\ncredentials_file = \"/x\""):                             "bucket: is no name of a bucket",
		cloud("http://h", "bucket = \"backups\""):                                                       "is not encrypted",
		cloud("https://k:secret@h", "bucket = \"backups\""):                                             "has a user or password",
		cloud("https://h/backups", "bucket = \"backups\""):                                              "is no https://host without a path",
		cloud("https://h", "bucket = \"backups\""):                                                      "credentials_file: is missing",
		cloud("https://h", "bucket = \"backups\"\nprefix = \"/x\"\ncredentials_file = \"/x\""):          "prefix: begins with /",
		cloud("https://192.0.2.1", "bucket = \"backups\"\nstyle = \"host\"\ncredentials_file = \"/x\""): "style: host cannot be",
		cloud("https://h", "bucket = \"a.b.c\"\nstyle = \"host\"\ncredentials_file = \"/x\""):           "style: host cannot be",
		host + "directory = \"/x\"\nsftp = \"sftp://a@b/c\"\n":                                          "must have one place",
		host + "directory = \"/x\"\n" + host + "directory = \"/y\"\n":                                   "is the name of two targets",
		host + "directory = \"/x\"\nhost_key = \"" + key + "\"\n":                                       "is for sftp, and this is directory",
		host + "sftp = \"ftp://a@b/c\"\n":                                                               "is no sftp://user@host/path",
		host + "sftp = \"sftp://a:secret@b/c\"\nhost_key = \"" + key + "\"\nkey_file = \"/k\"\n":        "has a password, which whoever reads this document",
		host + "sftp = \"sftp://a@b/c\"\nkey_file = \"/k\"\n":                                           "is no fingerprint of a host key",
		host + "sftp = \"sftp://a@b/c\"\nhost_key = \"" + key + "\"\n":                                  "must have one way to log in",
	} {
		code, _, errOut := gatepost(t, "check", "--config", documents(t, text, servesOne))
		if code != cli.Found || !strings.Contains(errOut, want) || strings.Contains(errOut, ":secret") {
			t.Errorf("%s\nexit %d: %s", text, code, errOut)
		}
	}
}

// cloud is a target of S3.
func cloud(at, rest string) string {
	return "[[backup.target]]\nname = \"n\"\ns3 = \"" + at + "\"\n" + rest + "\n"
}

// TestBackupS3 brings one to where the documents say by S3: of what is missing the file is named, and who is asked.
func TestBackupS3(t *testing.T) {
	_, public, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	one, both := file(t, work, "one", "key\n", 0o600), file(t, work, "both", "key\nsecret\n", 0o600)
	for _, c := range []struct{ rest, want string }{
		{"credentials_file = \"" + one + "\"", "n: " + one + ": it must have two lines: the access key ID, and the secret access key"},
		{"credentials_file = \"" + both + "\"\nca_file = \"" + both + "\"", "n: " + both + " holds no certificate in PEM"},
		{"credentials_file = \"" + both + "\"", "connection refused"},
	} {
		here := documents(t, "[backup]\nrecipients = [\""+public+"\"]\n"+cloud("https://127.0.0.1:1", "bucket = \"backups\"\n"+c.rest), servesOne)
		controlRows(t, filepath.Join(here, "state"), 1)
		if code, out, errOut := gatepost(t, "backup", "run", "--config", here); code != cli.Found || !strings.Contains(errOut, c.want) || strings.Contains(errOut, "secret\n") {
			t.Errorf("exit %d\n%s%s", code, out, errOut)
		}
	}
}

// TestBackupSecrets: of a file that is empty it is told what belongs there, which for a target is no passphrase.
func TestBackupSecrets(t *testing.T) {
	_, public, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	empty := file(t, t.TempDir(), "empty", "\n", 0o600)
	here := documents(t, "[backup]\nrecipients = [\""+public+"\"]\n[[backup.target]]\nname = \"nas\"\nsftp = \"sftp://gatepost@192.0.2.61/backups\"\nhost_key = \"SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8\"\npassword_file = \""+empty+"\"\n", servesOne)
	controlRows(t, filepath.Join(here, "state"), 1)
	if code, out, errOut := gatepost(t, "backup", "run", "--config", here); code != cli.Found || !strings.Contains(errOut, "nas: "+empty+": its first line, the password, is empty") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	if code, out, errOut := gatepost(t, "backup", "create", "--passphrase-file", empty, "--config", here); code != cli.Found || !strings.Contains(errOut, empty+": its first line, the passphrase, is empty") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
}
