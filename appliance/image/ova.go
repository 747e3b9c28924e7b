package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// OVA writes an archive that hypervisors import as one machine (DMTF DSP0243): the descriptor, the SHA-256 of both files, the disk. The
// descriptor's text has ${DISK}, ${SIZE}, ${CAPACITY} and ${VERSION} for the disk's name, its octets in the archive and as the machine
// sees it, and the version. The disk is a vmdk of the stream-optimized form. All times are at.
func OVA(w io.Writer, descriptor, version, vmdk string, at time.Time) error {
	disk, err := os.Open(vmdk)
	if err != nil {
		return err
	}
	defer disk.Close()
	capacity, err := capacity(disk)
	if err != nil {
		return fmt.Errorf("%s: %w", vmdk, err)
	}
	sum := sha256.New()
	size, err := io.Copy(sum, disk)
	if err != nil {
		return err
	}
	if _, err := disk.Seek(0, io.SeekStart); err != nil {
		return err
	}
	name := filepath.Base(vmdk)
	base := strings.TrimSuffix(name, ".vmdk")
	ovf := os.Expand(descriptor, func(key string) string {
		return map[string]string{"DISK": name, "SIZE": strconv.FormatInt(size, 10), "CAPACITY": strconv.FormatInt(capacity, 10), "VERSION": version}[key]
	})
	sums := fmt.Sprintf("SHA256(%s.ovf)= %x\nSHA256(%s)= %x\n", base, sha256.Sum256([]byte(ovf)), name, sum.Sum(nil))
	archive := tar.NewWriter(w)
	for _, part := range []struct {
		name string
		size int64
		from io.Reader
	}{{base + ".ovf", int64(len(ovf)), strings.NewReader(ovf)}, {base + ".mf", int64(len(sums)), strings.NewReader(sums)}, {name, size, disk}} {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: part.name, Size: part.size, Mode: 0o644, ModTime: at.Truncate(time.Second), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(archive, part.from); err != nil {
			return err
		}
	}
	return archive.Close()
}

// streamed is the bit of a vmdk's header that says that its grains are compressed; it is the form that may be in an archive.
const streamed = 1 << 16

// capacity reads the octets of a vmdk as the machine sees them, from its header (VMware, Virtual Disk Format 5.0, section 4.1).
func capacity(disk io.ReaderAt) (int64, error) {
	head := make([]byte, 20)
	if _, err := disk.ReadAt(head, 0); err != nil || string(head[:4]) != "KDMV" {
		return 0, errors.New("is no vmdk; make it with qemu-img convert -O vmdk -o subformat=streamOptimized")
	}
	if binary.LittleEndian.Uint32(head[8:])&streamed == 0 {
		return 0, errors.New("is a vmdk of another form; make it with qemu-img convert -O vmdk -o subformat=streamOptimized")
	}
	sectors := binary.LittleEndian.Uint64(head[12:])
	if sectors == 0 || sectors > 1<<40 {
		return 0, fmt.Errorf("says that the disk has %d sectors", sectors)
	}
	return int64(sectors) * 512, nil
}
