#!/bin/bash
# Makes the images of the tests and the demo on the spot, from what this machine has installed: no registry is needed.
#
#   test/images/build.sh SOCKET [NAME...]      SOCKET: path of the Engine's socket, or a DOCKER_HOST
#
#   hafstack-test/busybox   busybox and its links
#   hafstack-test/helper    the same, bash, psql and haf_app.sh: what the diagram calls the helper container
#   hafstack-test/hived     the helper with the simulator of hived as its entrypoint (StopSignal SIGINT is the spec's to set)
#   hafstack-test/api       the helper with a small HTTP server as its entrypoint (test/images/api/start says how to set it)
#
# Needs busybox-static, bash, a postgresql-client and docker.io.  PG_CONFIG chooses whose psql.  A few seconds.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
case ${1:?the Engine\'s socket} in *://*) host=$1 ;; *) host=unix://$1 ;; esac
shift
[ $# -gt 0 ] || set -- busybox helper hived api

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

import() {                              # NAME ROOT CHANGE...
    local name=$1 root=$2 change changes=()
    shift 2
    for change; do changes+=(--change "$change"); done
    tar --create --numeric-owner --owner=0 --group=0 --directory="$root" . |
        docker --host "$host" import "${changes[@]}" - "hafstack-test/$name:latest" >/dev/null
    printf 'hafstack-test/%s\n' "$name"
}

copy() {                                # a program or library, and the libraries it needs, each at its own path
    local root=$1 file
    shift
    for file; do
        mkdir -p "$root$(dirname "$file")"
        cp --dereference "$file" "$root$file"
        ldd "$file" 2>/dev/null | grep -oE '/[^ )]+' | while read -r lib; do
            [ -e "$root$lib" ] || { mkdir -p "$root$(dirname "$lib")"; cp --dereference "$lib" "$root$lib"; }
        done
    done
}

base() {                                # ROOT
    mkdir -p "$1"/{bin,etc,tmp,root,proc,sys,dev,var/lib,usr/bin,haf_app_root}
    chmod 1777 "$1/tmp"
    cp "$(command -v busybox)" "$1/bin/busybox"
    # Perl is in every Debian, and makes the 270 links in one process.
    "$1/bin/busybox" --list | perl -e 'while (<STDIN>) { chomp; symlink "busybox", "$ARGV[0]/$_" }' "$1/bin"
    ln -sf ../../bin/busybox "$1/usr/bin/env"
    printf 'root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104::/tmp:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/false\n' \
        >"$1/etc/passwd"
    printf 'root:x:0:\npostgres:x:104:\nnogroup:x:65534:\n' >"$1/etc/group"
    printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
}

base "$work/busybox"

# psql itself, not Debian's wrapper in /usr/bin, which is Perl.
cp -a "$work/busybox" "$work/helper"
psql=$("${PG_CONFIG:-pg_config}" --bindir)/psql
copy "$work/helper" "$(readlink -f "$(command -v bash)")" "$psql"
for nss in $(ldd "$psql" | grep -oE '/[^ ]*/libc\.so\.6'); do       # older C libraries load these by name
    for lib in "$(dirname "$nss")"/libnss_{dns,files}.so.2; do
        [ ! -e "$lib" ] || copy "$work/helper" "$lib"
    done
done
rm -f "$work/helper/bin/bash"
cp --dereference "$(command -v bash)" "$work/helper/bin/bash"
cp "$here/haf_app.sh" "$work/helper/usr/bin/haf_app.sh"
[ "$psql" = /usr/bin/psql ] || ln -sf "$psql" "$work/helper/usr/bin/psql"

environment='ENV PATH=/usr/bin:/bin LANG=C.UTF-8 TERM=dumb PSQLRC=/dev/null PGCONNECT_TIMEOUT=10'
for name; do
    case $name in
        busybox) import busybox "$work/busybox" 'ENV PATH=/usr/bin:/bin' 'CMD ["/bin/sh"]' ;;
        helper)  import helper "$work/helper" "$environment" 'CMD ["/bin/bash"]' ;;
        hived)   cp -a "$work/helper" "$work/hived"
                 cp "$here/../haf/hived" "$work/hived/usr/bin/hived"
                 import hived "$work/hived" "$environment" 'ENTRYPOINT ["/usr/bin/hived"]' ;;
        api)     cp -a "$work/helper" "$work/api"
                 mkdir -p "$work/api/www/cgi-bin"
                 cp "$here/api/start" "$here/api/healthy" "$work/api/usr/bin/"
                 cp "$here/api/answer" "$work/api/www/cgi-bin/index.cgi"
                 import api "$work/api" "$environment" 'ENTRYPOINT ["/usr/bin/start"]' 'EXPOSE 80' ;;
        *)       echo "no such image: $name" >&2; exit 2 ;;
    esac
done
