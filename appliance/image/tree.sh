#!/usr/bin/env bash
# tree.sh OUT.tar SOURCES: makes the tree of Debian's packages, with the kernel's package unpacked below it and the list of
# all packages in /.packages (name, version, architecture, source, source's version, separated by tabs). SOURCES is apt's
# file with the archives.
# As root, or as a user who may have namespaces. SOURCE_DATE_EPOCH must be set: two runs with the same packages make
# the same file.
set -euo pipefail
out=$1 sources=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
: "${SOURCE_DATE_EPOCH:?}"

words() { sed 's/#.*//' "$1" | tr -s ' \n' '\n' | sed '/^$/d'; }

# Called again by mmdebstrap as a hook, with what to do and the tree.
case ${GATEPOST_HOOK:-} in
users)
	# Before any package asks for a user: adduser and sysusers then leave them as they are.
	while read -r kind name id home groups; do
		case $kind in
		user)
			echo "$name:x:$id:$id::$home:/usr/sbin/nologin" >>"$3/etc/passwd"
			echo "$name:!:0::::::" >>"$3/etc/shadow"
			echo "$name:x:$id:" >>"$3/etc/group"
			echo "$name:!::" >>"$3/etc/gshadow"
			for g in $groups; do
				sed -i "s/^\($g:x:[0-9]*:\)$/\1$name/;t;s/^\($g:x:[0-9]*:.*[^:]\)$/\1,$name/" "$3/etc/group"
			done
			;;
		group)
			echo "$name:x:$id:" >>"$3/etc/group"
			echo "$name:!::" >>"$3/etc/gshadow"
			;;
		esac
	done < <(sed 's/#.*//' "$here/users")
	exit
	;;
kernel)
	export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
	kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p')
	[ -n "$kernel" ] || { echo "tree.sh: apt knows no kernel" >&2; exit 1; }
	fetched=$(mktemp -d)
	trap 'rm -rf "$fetched"' EXIT
	(cd "$fetched" && apt-get -qq -o APT::Sandbox::User=root download "$kernel")
	fields='${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n'
	dpkg-query --admindir="$3/var/lib/dpkg" -W -f="$fields" >"$3/.packages"
	dpkg-deb -W --showformat="$fields" "$fetched"/*.deb >>"$3/.packages"
	LC_ALL=C sort -o "$3/.packages" "$3/.packages"
	mkdir "$3/.kernel"
	dpkg-deb -x "$fetched"/*.deb "$3/.kernel"
	# What a package left of its installation and tar cannot hold.
	find "$3/var" -type s -delete
	rm -rf "$3/var/cache/apt" "$3/var/lib/apt/lists" "$3/var/log"/*.log "$3/var/log/apt"
	exit
	;;
esac

hook() { printf 'env GATEPOST_HOOK=%s %q hook hook "$1"' "$1" "$here/tree.sh"; }
new=$out.new.tar
trap 'rm -f "$new"' EXIT
mmdebstrap --quiet --variant=minbase --include="$(words "$here/packages" | paste -sd,)" \
	--essential-hook="$(hook users)" --customize-hook="$(hook kernel)" bookworm "$new" "$sources"
mv "$new" "$out"
