package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// envelope is what a hypervisor needs of a descriptor.
type envelope struct {
	File struct {
		ID   string `xml:"id,attr"`
		Href string `xml:"href,attr"`
		Size int64  `xml:"size,attr"`
	} `xml:"References>File"`
	Disk struct {
		ID       string `xml:"diskId,attr"`
		File     string `xml:"fileRef,attr"`
		Capacity int64  `xml:"capacity,attr"`
		Format   string `xml:"format,attr"`
	} `xml:"DiskSection>Disk"`
	Network struct {
		Name string `xml:"name,attr"`
	} `xml:"NetworkSection>Network"`
	Version string `xml:"VirtualSystem>ProductSection>Version"`
	Items   []struct {
		ID         string `xml:"InstanceID"`
		Type       int    `xml:"ResourceType"`
		Quantity   int    `xml:"VirtualQuantity"`
		Parent     string `xml:"Parent"`
		Resource   string `xml:"HostResource"`
		Connection string `xml:"Connection"`
	} `xml:"VirtualSystem>VirtualHardwareSection>Item"`
	Config []struct {
		Key   string `xml:"key,attr"`
		Value string `xml:"value,attr"`
	} `xml:"VirtualSystem>VirtualHardwareSection>Config"`
}

// TestOVA makes an archive of a disk that qemu-img made, and reads it as a hypervisor does.
func TestOVA(t *testing.T) {
	dir := t.TempDir()
	raw, vmdk := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "gatepost-1.2.vmdk")
	content := bytes.Repeat([]byte("what is on the disk "), 60_000)
	write(t, raw, string(content), 0o644)
	if err := os.Truncate(raw, 3<<20); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk)
	descriptor, err := os.ReadFile("gatepost.ovf")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	var first, second bytes.Buffer
	if err := errors.Join(OVA(&first, string(descriptor), "1.2", vmdk, at), OVA(&second, string(descriptor), "1.2", vmdk, at)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of one disk differ")
	}

	files, names := map[string][]byte{}, ""
	for archive := tar.NewReader(&first); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Format != tar.FormatUSTAR || !h.ModTime.Equal(at) {
			t.Errorf("%s: format %v of %s", h.Name, h.Format, h.ModTime)
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name], names = b, names+h.Name+" "
	}
	if names != "gatepost-1.2.ovf gatepost-1.2.mf gatepost-1.2.vmdk " {
		t.Fatalf("the archive has %s", names)
	}
	if want := fmt.Sprintf("SHA256(gatepost-1.2.ovf)= %x\nSHA256(gatepost-1.2.vmdk)= %x\n", sha256.Sum256(files["gatepost-1.2.ovf"]), sha256.Sum256(files["gatepost-1.2.vmdk"])); string(files["gatepost-1.2.mf"]) != want {
		t.Errorf("the manifest is %s", files["gatepost-1.2.mf"])
	}
	isMachine(t, files["gatepost-1.2.ovf"], int64(len(files["gatepost-1.2.vmdk"])))

	again, out := filepath.Join(dir, "again.vmdk"), filepath.Join(dir, "again.raw")
	write(t, again, string(files["gatepost-1.2.vmdk"]), 0o644)
	if info := qemuImg(t, "info", again); !strings.Contains(info, "streamOptimized") || !strings.Contains(info, "(3145728 bytes)") {
		t.Errorf("qemu-img says %s", info)
	}
	qemuImg(t, "convert", "-O", "raw", again, out)
	if back, err := os.ReadFile(out); err != nil || !bytes.HasPrefix(back, content) {
		t.Errorf("the disk does not come out as it went in: %v", err)
	}

	for _, wrong := range []string{raw, filepath.Join(dir, "flat.vmdk")} {
		if wrong != raw {
			qemuImg(t, "convert", "-f", "raw", "-O", "vmdk", raw, wrong)
		}
		if err := OVA(io.Discard, string(descriptor), "1.2", wrong, at); err == nil || !strings.Contains(err.Error(), "subformat=streamOptimized") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// isMachine looks whether the descriptor tells a machine that can start from that disk.
func isMachine(t *testing.T, text []byte, size int64) {
	t.Helper()
	var e envelope
	if err := xml.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "${") || e.File.Href != "gatepost-1.2.vmdk" || e.File.Size != size || e.Disk.File != e.File.ID || e.Disk.Capacity != 3<<20 || e.Version != "1.2" ||
		!strings.HasSuffix(e.Disk.Format, "#streamOptimized") {
		t.Errorf("the descriptor says %+v", e)
	}
	kinds := map[int]string{}
	for _, i := range e.Items {
		kinds[i.Type] = i.ID
		switch i.Type {
		case 3: // processors
			if i.Quantity < 2 {
				t.Errorf("%d processors", i.Quantity)
			}
		case 4: // memory
			if i.Quantity < 4096 {
				t.Errorf("%d MiB of memory", i.Quantity)
			}
		case 10: // network
			if i.Connection != e.Network.Name {
				t.Errorf("the network is %q", i.Connection)
			}
		case 17: // disk, behind a controller that came before
			if i.Resource != "ovf:/disk/"+e.Disk.ID || i.Parent != kinds[6] {
				t.Errorf("the disk is %q behind %q", i.Resource, i.Parent)
			}
		}
	}
	if len(kinds) != 5 {
		t.Errorf("the machine has %v", kinds)
	}
	for _, c := range e.Config {
		if c.Key == "firmware" && c.Value == "efi" {
			return
		}
	}
	t.Error("nothing says EFI: the machine would look for a BIOS's boot sector")
}

func qemuImg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %v: %v: %s (scripts/install installs it)", args, err, out)
	}
	return string(out)
}
