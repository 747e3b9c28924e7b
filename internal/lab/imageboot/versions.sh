#!/usr/bin/env bash
# versions.sh OUT [short]: makes the versions that "imageboot live" goes through, with a key that is made for them and kept nowhere
# else, and with the files of versions/: 1.0.0 as an image, and as updates of it 1.0.1, 1.0.2 whose daemon cannot start, and 1.0.3,
# which tells figures of its services; short: the first two.
. "$(dirname -- "$0")/../../../scripts/lib.sh"
out=$1 here=$root/internal/lab/imageboot
find_go
rm -rf "$out"
mkdir -p "$out/keys"
CGO_ENABLED=0 go build -o "$cache/bin/gatepost-bundle" ./cmd/gatepost-bundle
"$cache/bin/gatepost-bundle" key "$out/test"
mv "$out/test.pub" "$out/keys/"
cp "$here/versions/all/usr/share/gatepost/image/gatepost.toml" "$out/"

# version V OVERLAY...
version() {
	local v=$1 name=$out/gatepost-$1 overlays=()
	shift
	for o; do overlays+=(--overlay "$here/versions/$o"); done
	scripts/image --fast --version "$v" --keys "$out/keys" --out "$out" "${overlays[@]}"
	[ "$v" != 1.0.0 ] || return 0
	"$cache/bin/gatepost-bundle" write --version "$v" --from 1.0.0 --root "$name.root" --uki "$name.efi" --key "$out/test.key" --out "$name.gpu" \
		--root-hash "$(sed -n 's/^ROOTHASH=//p' "$cache/image/work/root.env")"
	rm "$name.raw"
}

version 1.0.0 all
version 1.0.1 all
[ "${2:-}" != short ] || exit 0
version 1.0.2 all failing
version 1.0.3 all figures
