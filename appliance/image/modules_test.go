package image

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestModules(t *testing.T) {
	const deps = `kernel/a/one.ko: kernel/b/two.ko
kernel/a/sub/deep.ko:
kernel/b/two.ko: kernel/c/three.ko
kernel/c/three.ko:
kernel/d/lonely.ko:
kernel/e/torn.ko: kernel/e/gone.ko
`
	for _, c := range []struct{ name, allow, want, err string }{
		{"what a module needs comes along, and what that needs", "kernel/a/one.ko\n", "kernel/a/one.ko kernel/b/two.ko kernel/c/three.ko", ""},
		{"a folder is all below it", "# a\nkernel/a/ # with its needs\n\n", "kernel/a/one.ko kernel/a/sub/deep.ko kernel/b/two.ko kernel/c/three.ko", ""},
		{"twice is once", "kernel/d/lonely.ko\nkernel/d/\n", "kernel/d/lonely.ko", ""},
		{"a misspelt line", "kernel/d/lonely.ko\nkernel/d/lonley.ko\n", "", "allow-list, line 2: this kernel has no kernel/d/lonley.ko"},
		{"a folder is no prefix of names", "kernel/a\n", "", "allow-list, line 1: this kernel has no kernel/a"},
		{"a need that is not there", "kernel/e/torn.ko\n", "", "modules.dep: kernel/e/torn.ko needs kernel/e/gone.ko, which is not there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Modules(strings.NewReader(deps), strings.NewReader(c.allow))
			if text := errorText(err); text != c.err {
				t.Fatalf("error %q, want %q", text, c.err)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := Modules(strings.NewReader("no colon\n"), strings.NewReader("")); err == nil {
		t.Error("modules.dep that is none is read")
	}
}

// The initrd must be able to do what its script does, and the root has no less.
func TestModuleLists(t *testing.T) {
	read := func(file string) []string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for line := range strings.Lines(string(data)) {
			text, _, _ := strings.Cut(line, "#")
			if text = strings.TrimSpace(text); text != "" {
				out = append(out, text)
			}
		}
		return out
	}
	root, initrd := read("modules"), read("modules-initrd")
	for _, m := range []string{"kernel/drivers/md/dm-verity.ko", "kernel/fs/squashfs/squashfs.ko", "kernel/fs/ext4/ext4.ko", "kernel/fs/fat/vfat.ko", "kernel/drivers/scsi/sd_mod.ko"} {
		if !slices.Contains(initrd, m) {
			t.Errorf("the initrd lacks %s", m)
		}
	}
	for _, m := range initrd {
		if !slices.ContainsFunc(root, func(r string) bool { return r == m || strings.HasSuffix(r, "/") && strings.HasPrefix(m, r) }) {
			t.Errorf("%s is in the initrd and not in the root", m)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
