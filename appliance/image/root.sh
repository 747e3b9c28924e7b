#!/usr/bin/env bash
# root.sh TREE.tar GATEPOST IMAGETOOL VERSION LEVEL WORK [OVERLAY...]: makes of the tree of packages the root of one version: the kernel's
# modules by allow-list, the files of rootfs/ and of the overlays, the program, and nothing that only installs or explains. Leaves in WORK:
#   root/         the tree
#   kernel/       the kernel's package
#   packages      the list of packages
#   root.img      squashfs (zstd at LEVEL) and behind it the hash tree of dm-verity
#   root.env      ROOTHASH= and HASHOFF=, as the kernel's command line needs them
set -euo pipefail
tree=$1 program=$2 tool=$3 version=$4 level=$5 work=$6
shift 6
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
: "${SOURCE_DATE_EPOCH:?}"
root=$work/root

rm -rf "$root" "$work/kernel"
mkdir -p "$root"
tar -C "$root" -xpf "$tree" --numeric-owner
mv "$root/.kernel" "$work/kernel"
mv "$root/.packages" "$work/packages"

# The kernel's modules.
kernel=$(ls "$work/kernel/lib/modules")
depmod -b "$work/kernel" "$kernel"
from=$work/kernel/lib/modules/$kernel to=$root/usr/lib/modules/$kernel
mkdir -p "$to"
"$tool" modules "$from/modules.dep" "$here/modules" | (cd "$from" && cpio --quiet -pdm "$to")
cp "$from"/modules.{builtin,builtin.modinfo,order} "$to/"
depmod -b "$root" "$kernel"

# Ours. Git keeps no more of a mode than whether a file can be run.
for files in "$here/../../rootfs" "$@"; do
	(cd "$files" && tar -c --owner=0 --group=0 --mode=u=rwX,go=rX .) | tar -C "$root" -xp --no-overwrite-dir
done
install -m 755 "$program" "$root/usr/bin/gatepost"
mkdir -p "$root/efi"
systemd-sysusers --root="$root" >"$work/sysusers.log" 2>&1 || { cat "$work/sysusers.log" >&2; exit 1; }
find "$root/etc/systemd/system" -type l -not -lname /dev/null -path '*.wants/*' -delete
systemctl --root="$root" --preset-mode=full preset-all 2>"$work/preset.log" || { cat "$work/preset.log" >&2; exit 1; }

# What installs packages, and what only explains.
cd "$root"
rm -rf boot/* var/lib/{apt,dpkg,ucf,pam} var/cache/{apt,debconf,ldconfig,adduser} var/backups/* var/log/{apt,*.log,faillog,lastlog,wtmp,btmp} \
	etc/{apt,dpkg,init.d,rc?.d,cron.*,kernel,X11,initramfs,insserv.conf.d,logcheck,ppp,resolvconf,update-motd.d,skel,python3.*,NetworkManager} \
	etc/{adduser.conf,deluser.conf,debconf.conf,ucf.conf,motd,passwd-,group-,shadow-,gshadow-,subuid,subgid,.pwd.lock,logrotate.*,update-motd.d} \
	usr/{games,include,src,local} usr/lib/{apt,dpkg,initramfs-tools,kernel,NetworkManager,networkd-dispatcher,usrmerge,resolvconf,init,python3.*} usr/lib/systemd/boot \
	usr/lib/x86_64-linux-gnu/{gconv,libapt-*} usr/lib/udev/{hwdb.d,hwdb.bin} \
	usr/share/{apport,bash-completion,bug,debconf,debianutils,dict,doc,doc-base,dpkg,gcc,gdb,info,initramfs-tools,lintian,locale,man,menu,munin,pixmaps,pkgconfig,readline,ucf,zsh} \
	usr/bin/{apt*,dpkg*,debconf*,deb-systemd-*,ucf*,lcf,update-alternatives,select-editor,sensible-*,savelog,su,passwd,chage,chfn,chsh,expiry,faillog,lastlog,gpasswd,newgrp,sg,redis-benchmark,lwp-*,GET,HEAD,POST,cpan*,ptar*,perlbug,perlthanks,pod*,prove,instmodsh,h2ph,h2xs,xsubpp,enc2xs,dh_*,json_pp,kernel-install,systemd-sysext,systemd-firstboot,dbus-run-session} \
	usr/sbin/{dpkg*,update-passwd,update-rc.d,invoke-rc.d,installkernel,service,start-stop-daemon,pam-auth-update,add-shell,remove-shell,update-shells,addgroup,adduser,delgroup,deluser,chgpasswd,chpasswd,cppw,cpgr,group*,grp*,newusers,pw*,user*,usermod,vigr,vipw,shadowconfig,e2scrub*,unix_*,logrotate,fsck.cramfs,fsck.minix,mkfs.bfs,mkfs.cramfs,mkfs.minix,zic,iconvconfig,usrmerge}
# Units of what is gone. The journal bounds itself.
rm -f usr/lib/systemd/system/{apt-*,dpkg-*,e2scrub*,logrotate.*,systemd-sysext.service,systemd-firstboot.service}
rm -f usr/lib/udev/rules.d/*e2scrub*
# Links to what went; one with a whole path cannot be followed here.
find usr etc -xtype l -not -lname '/*' -delete
find etc usr -perm /6000 -exec chmod a-s {} +
find . -xdev \( -type f -o -type d \) -perm -o+w -exec chmod o-w {} +
rm -rf run/* tmp/* dev/* root/.??*
chmod 755 tmp var/tmp
chmod 700 root
: >etc/machine-id
mkdir -p usr/share/factory
find var -type s -delete
rm -rf usr/share/factory/var
mv var usr/share/factory/var
mkdir var
# The link that a mount would need below /var.
ln -sfn /run usr/share/factory/var/run
ln -sfn /run/lock usr/share/factory/var/lock
chmod -R g-s usr/share/factory/var/{local,mail}

"$tool" check "$root" "$here/users"

# mksquashfs of Debian 12 stops when both the variable and the options say a time.
rm -f "$work/root.img"
env -u SOURCE_DATE_EPOCH mksquashfs "$root" "$work/root.img" -quiet -no-progress -noappend -no-xattrs -reproducible -all-time "$SOURCE_DATE_EPOCH" \
	-mkfs-time "$SOURCE_DATE_EPOCH" -comp zstd -Xcompression-level "$level" -b 256K
size=$(stat -c %s "$work/root.img")
off=$(((size + 4095) / 4096 * 4096))
truncate -s "$off" "$work/root.img"
salt=$(printf 'gatepost %s' "$version" | sha256sum | cut -d' ' -f1)
uuid=$(sed 's/^\(.\{8\}\)\(....\).\(...\).\(...\)\(.\{12\}\).*/\1-\2-4\3-8\4-\5/' <<<"$salt")
hash=$(veritysetup format "$work/root.img" "$work/root.img" --hash-offset="$off" --data-blocks=$((off / 4096)) --salt="$salt" --uuid="$uuid" |
	sed -n 's/^Root hash:[ \t]*//p')
[ ${#hash} = 64 ]
printf 'ROOTHASH=%s\nHASHOFF=%s\n' "$hash" "$off" >"$work/root.env"
