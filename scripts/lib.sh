# Shared by the scripts beside it: where we are, what is said, which Go.
# A script sources this first: . "$(dirname -- "$0")/lib.sh"
# shellcheck shell=bash
set -euo pipefail
me=${0##*/}
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Under sudo the checkout is somebody else's, which git refuses to read unless told.
if [ "$(stat -c %u "$root")" != "$(id -u)" ]; then
	export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$root
fi

# cache keeps what is built or unpacked; removing it costs time, nothing else.
cache=${GATEPOST_CACHE:-$root/.cache}

# Debian's packages that running and testing need: the scanners (rspamd and an ICAP server among them), the
# internal MTA, Dovecot's LMTP server, an LDAP server, an ACME server, a name server, a validating resolver and what signs
# zones, PostgreSQL, an SFTP server and one of S3, the tool a mail admin tests with, systemd's tools for sockets and
# units (nothing of it is started), rpm, nftables and a network for it, other people's verifiers of SPF, DKIM and ARC
# that ours are compared with, xmllint for schemas, and a C compiler for the race detector.
# The last line is the libraries of the MTAs below.
packages=(qrencode minisign cryptsetup-bin clamav-daemon spamassassin spamd postfix swaks openssl libnet-ssleay-perl systemd gcc libc6-dev
	python3-spf python3-yaml python3-dkim python3-authres python3-nacl python3-dnspython opendkim-tools libxml2-utils
	libopendmarc2 publicsuffix redis-server dovecot-core dovecot-lmtpd slapd pebble
	knot unbound bind9-utils gnutls-bin openssh-sftp-server python3-swift
	rpm chrony qemu-utils nftables iproute2 postgresql rspamd c-icap libc-icap-mod-virus-scan qpdf ytnef-tools ripmime mpack
	genisoimage dosfstools mtools
	libdb5.3 libnsl2 libidn12 libidn2-0 libpcre2-8-0 libgnutls30 libgnutls-dane0 libevent-2.1-7 libpam0g libssl3)
# What scripts/image needs.
image_packages=(systemd mmdebstrap squashfs-tools cryptsetup-bin kmod fdisk dosfstools mtools e2fsprogs binutils zstd cpio qemu-utils)
# And its test.
boot_packages=(qemu-system-x86 ovmf)
# The internal MTAs that stand beside Postfix in tests. Debian lets one MTA be installed, so these are only unpacked, into
# folders of the cache.
declare -A unpacked=([exim]="exim4-daemon-light" [opensmtpd]="opensmtpd")

# Programs that the browser tests need, and Debian's packages for those that are missing: node and npm often come from elsewhere,
# and do not stand Debian's beside them.
declare -A programs=([chromium]="chromium" [node]="nodejs" [npm]="npm")
# Where package.json of the browser tests is; what npm puts there is never checked in.
browser=internal/lab/browser

say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() { say "$*"; exit 2; }

# usage prints the comment at the head of the script, which is its manual.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//;t p;d;:p;p}' "$root/scripts/$me"; }

# find_go puts Go into PATH and refuses one older than go.mod asks for.
find_go() {
	if ! command -v go >/dev/null; then
		[ -x /usr/local/go/bin/go ] || die "Go is missing: put it into /usr/local/go or into PATH"
		PATH=$PATH:/usr/local/go/bin
	fi
	local want have
	want=$(awk '$1 == "go" {print $2}' go.mod)
	have=$(go env GOVERSION) || die "go does not work"
	have=${have#go}
	printf '%s\n%s\n' "$want" "$have" | sort -V -C ||
		die "go is $have, go.mod asks for $want"
}

# use_mtas tells internal/lab of the MTAs that scripts/install unpacked.
use_mtas() {
	export GATEPOST_MTAS=$cache
	if [ ! -x /usr/lib/postfix/sbin/master ] && [ -d "$cache/postfix" ]; then
		export GATEPOST_POSTFIX_ROOT=$cache/postfix
	fi
}

# need_root stops where the private Postfix could not be started.
need_root() {
	[ "$(id -u)" = 0 ] || die "a private Postfix is started, and its master must be root's: sudo scripts/$me"
}

# private_tmp makes a temporary folder that goes at the end, with what interrupted
# tests leave behind; the parts that they started end with them.
private_tmp() {
	TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/gpt.XXXXXX")
	export TMPDIR
	chmod 755 "$TMPDIR" # the scanners do not run as root
	trap 'rm -rf "$TMPDIR"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}
