#!/usr/bin/env bash
# boot.sh TREE.tar IMAGETOOL VERSION LEVEL WORK: makes of the root that root.sh left in WORK the initrd and the unified kernel image (UKI):
# kernel, initrd, os-release and command line in one file, so that an old kernel never meets a new root. Leaves in WORK:
#   initrd.img    the initrd
#   gatepost.efi  the UKI
#   bootx64.efi   systemd-boot
set -euo pipefail
tree=$1 tool=$2 version=$3 level=$4 work=$5
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
: "${SOURCE_DATE_EPOCH:?}"
export LC_ALL=C
root=$work/root initrd=$work/initrd
# shellcheck source=/dev/null
. "$work/root.env"

rm -rf "$initrd"
mkdir -p "$initrd"/{bin,sbin,etc,lib/modules}
ln -s lib "$initrd/lib64"
cp "$root/usr/bin/busybox" "$initrd/bin/busybox"
for a in sh cat cp mv rm ln ls mkdir mount umount sed grep find sort tail tr sync sleep chmod touch; do ln -s busybox "$initrd/bin/$a"; done
# The kernel calls /sbin/modprobe by itself, for crc32c among others.
for a in modprobe switch_root reboot; do ln -s ../bin/busybox "$initrd/sbin/$a"; done
libs=$root/usr/lib/x86_64-linux-gnu
for p in veritysetup e2fsck mke2fs tune2fs; do
	cp "$root/usr/sbin/$p" "$initrd/sbin/"
	"$libs/ld-linux-x86-64.so.2" --library-path "$libs" --list "$root/usr/sbin/$p"
done | sed -n 's/.*=> \([^ ]*\) .*/\1/p' | sort -u | xargs -I{} cp -L {} "$initrd/lib/"
cp -L "$libs/ld-linux-x86-64.so.2" "$initrd/lib/"
cp "$root/etc/mke2fs.conf" "$initrd/etc/"
install -m 755 "$here/init" "$initrd/init"
kernel=$(ls "$work/kernel/lib/modules")
from=$work/kernel/lib/modules/$kernel to=$initrd/lib/modules/$kernel
mkdir -p "$to"
"$tool" modules "$from/modules.dep" "$here/modules-initrd" | (cd "$from" && cpio --quiet -pdm "$to")
cp "$from"/modules.{builtin,builtin.modinfo,order} "$to/"
depmod -b "$initrd" "$kernel"
find "$initrd" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$initrd" && find . | sort | cpio --quiet --reproducible -o -H newc -R 0:0) | zstd -q "-$level" -T1 -f -o "$work/initrd.img"

# Both consoles show what the kernel says; systemd, and the initrd where it asks, take the last: a serial line where there is one.
printf '%s' "gatepost.version=$version gatepost.roothash=$ROOTHASH gatepost.hashoff=$HASHOFF" \
	" console=tty0 console=ttyS0,115200 loglevel=5 systemd.show_status=yes systemd.gpt_auto=no" \
	" lockdown=confidentiality module.sig_enforce=1 slab_nomerge init_on_alloc=1 vsyscall=none debugfs=off oops=panic panic=10" >"$work/cmdline"
sed "s/^VERSION_ID=.*/VERSION_ID=$version/; s/^PRETTY_NAME=.*/PRETTY_NAME=\"Gatepost $version\"/; s/^ID=.*/ID=gatepost/" "$root/usr/lib/os-release" >"$work/os-release"

stub=$work/stub.efi
tar -xOf "$tree" ./usr/lib/systemd/boot/efi/linuxx64.efi.stub >"$stub"
tar -xOf "$tree" ./usr/lib/systemd/boot/efi/systemd-bootx64.efi >"$work/bootx64.efi"
# Each section begins at the first free page behind the one before.
at=0
while read -r _ _ length vma _; do
	end=$((16#$length + 16#$vma))
	[ "$end" -le "$at" ] || at=$end
done < <(objdump -h "$stub" | grep -E '^ *[0-9]+ ')
args=()
for s in .osrel:os-release .cmdline:cmdline .initrd:initrd.img .linux:"kernel/boot/vmlinuz-$kernel"; do
	file=$work/${s#*:} name=${s%%:*}
	at=$(((at + 4095) / 4096 * 4096))
	args+=(--add-section "$name=$file" --change-section-vma "$name=$(printf '0x%x' "$at")")
	at=$((at + $(stat -c %s "$file")))
done
objcopy --enable-deterministic-archives --preserve-dates "${args[@]}" "$stub" "$work/gatepost.efi"
