#!/bin/bash
# A Debian root with PostgreSQL 17, the release that HAF runs, for the tests (test/lib/in17.sh goes into it) and for the
# image of HAF's like (haf17.sh).  Prints where it is.
#
# It is made once, in a folder of its own outside of the repository, and never changed afterwards: whoever goes into it
# lays a file system of his own over it.  A change to what is in it makes another one; old ones can be deleted at will.
#
#   HAFSTACK_CACHE   where (default: hafstack in XDG_CACHE_HOME, else /var/cache/hafstack)
#   DEBIAN_MIRROR    whence (default: the mirror that apt here uses, else debootstrap's)
#
# Needs root, debootstrap, half a gigabyte and a minute or more, which the network decides.
set -euo pipefail
umask 022

suite=trixie
packages=postgresql-17,postgresql-17-cron,postgresql-server-dev-17,gcc,make,libc6-dev,libcurl4-openssl-dev,libcjson-dev
packages+=,perl,libipc-run-perl,procps,docker-cli,busybox-static
stamp=$(printf '%s\n' "1 $suite $packages" | cksum | cut -d' ' -f1)      # 1: counts what else is changed below

cache=${HAFSTACK_CACHE:-${XDG_CACHE_HOME:-/var/cache}/hafstack}
root=$cache/$suite-17-$stamp
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)

exec 9>"$root.lock"                     # two at once: the second waits for the first
flock 9
[ ! -d "$root" ] || { printf '%s\n' "$root"; exit 0; }

printf 'making %s, once\n' "$root" >&2
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
    2>/dev/null | head -n 1)}
new=$(mktemp -d "$cache/$suite-17-new.XXXXXX")
trap 'rm -rf --one-file-system "$new"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$new"

# Nothing is started, no cluster is made, nothing is read by people, and LLVM, which server-dev wants, is not used: its
# half a gigabyte stays packed.  If the machine crashes, this folder has not got its name yet.
mkdir -p "$new"/etc/{dpkg/dpkg.cfg.d,postgresql-common} "$new"/usr/{sbin,share/man/man{1,5,7,8}}
cat >"$new/etc/dpkg/dpkg.cfg.d/hafstack" <<EOC
force-unsafe-io
force-confold
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/lib/llvm-*/lib/*.a
path-exclude=/usr/lib/llvm-*/bin/*
path-exclude=/usr/include/llvm*
EOC
printf 'create_main_cluster = false\n' >"$new/etc/postgresql-common/createcluster.conf"
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
chmod +x "$new/usr/sbin/policy-rc.d"

DEBIAN_FRONTEND=noninteractive debootstrap --variant=minbase --include="$packages" "$suite" "$new" ${mirror:+"$mirror"} \
    >"$new.log" 2>&1 || {
        tail -n 30 "$new.log" "$new/debootstrap/debootstrap.log" >&2 || true
        rm -f "$new.log"
        exit 1
    }
rm -f "$new.log"

# As in HAF's images: uid 105, gid 109.
chroot "$new" groupmod --gid 109 postgres
chroot "$new" usermod --uid 105 --gid 109 postgres
chown -R 105:109 "$new"/var/{lib,log}/postgresql
printf '127.0.0.1 localhost\n::1 localhost\n' >"$new/etc/hosts"
rm -rf "$new"/var/cache/apt/*.bin "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*

mv "$new" "$root"
printf '%s\n' "$root"
