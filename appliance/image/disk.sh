#!/usr/bin/env bash
# disk.sh VERSION WORK OUT: makes of root.img, gatepost.efi and bootx64.efi in WORK a disk image OUT (raw, sparse). Nothing is mounted, and no
# right is needed: partitions are written where they lie. docs/appliance.md has the layout, which cannot change later.
set -euo pipefail
version=$1 work=$2 out=$3
: "${SOURCE_DATE_EPOCH:?}"
MiB=1048576
esp_size=256 slot_size=512 data_size=64
esp_at=1
a_at=$((esp_at + esp_size))
b_at=$((a_at + slot_size))
data_at=$((b_at + slot_size))

[ "$(stat -c %s "$work/root.img")" -le $((slot_size * MiB)) ] || { echo "disk.sh: the root does not fit a slot of $slot_size MiB" >&2; exit 1; }
[ $(($(stat -c %s "$work/gatepost.efi") * 3)) -le $(((esp_size - 16) * MiB)) ] || { echo "disk.sh: three UKIs do not fit the ESP" >&2; exit 1; }

rm -f "$out"
truncate -s $(((data_at + data_size + 1) * MiB)) "$out"
# The numbers are the same in each image: a build shall make the same octets.
sfdisk --quiet "$out" <<TABLE
label: gpt
label-id: 7F1C3B52-6D0E-4E0B-9B6C-0A2E5B1D4C01
unit: sectors
start=$((esp_at * 2048)), size=$((esp_size * 2048)), type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=7F1C3B52-6D0E-4E0B-9B6C-0A2E5B1D4C02, name=esp
start=$((a_at * 2048)), size=$((slot_size * 2048)), type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=7F1C3B52-6D0E-4E0B-9B6C-0A2E5B1D4C03, name=root-a
start=$((b_at * 2048)), size=$((slot_size * 2048)), type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=7F1C3B52-6D0E-4E0B-9B6C-0A2E5B1D4C04, name=root-b
start=$((data_at * 2048)), size=$((data_size * 2048)), type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=7F1C3B52-6D0E-4E0B-9B6C-0A2E5B1D4C05, name=data
TABLE

esp=$work/esp.img
rm -f "$esp"
truncate -s $((esp_size * MiB)) "$esp"
mkfs.vfat --invariant -i 47504553 -n GATEPOST -F 32 "$esp" >/dev/null
printf 'timeout 0\neditor no\nauto-firmware no\nauto-entries no\n' >"$work/loader.conf"
touch -d "@$SOURCE_DATE_EPOCH" "$work/loader.conf" "$work/bootx64.efi" "$work/gatepost.efi"
export MTOOLS_SKIP_CHECK=1 TZ=UTC
mmd -i "$esp" ::EFI ::EFI/BOOT ::EFI/Linux ::loader
mcopy -m -i "$esp" "$work/bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
mcopy -m -i "$esp" "$work/loader.conf" ::loader/loader.conf
# Without a count: the first version of a disk has nothing to go back to.
mcopy -m -i "$esp" "$work/gatepost.efi" "::EFI/Linux/gatepost_$version.efi"

data=$work/data.img
rm -f "$data"
truncate -s $((data_size * MiB)) "$data"
# The initrd gives the file system a UUID of its own at the first boot; with metadata_csum_seed that changes the superblock alone.
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -t ext4 -L data -U 7f1c3b52-6d0e-4e0b-9b6c-0a2e5b1d4c06 -O metadata_csum_seed -m 1 -J size=8 \
	-E hash_seed=7f1c3b52-6d0e-4e0b-9b6c-0a2e5b1d4c07,resize=268435456,root_owner=0:0 "$data"

put() { dd if="$1" of="$out" bs=1M seek="$2" conv=notrunc,sparse status=none; }
put "$esp" $esp_at
put "$work/root.img" $a_at
put "$data" $data_at
rm -f "$esp" "$data"
