# shellcheck shell=bash
# What the images are made of.  Sourced by build.sh and, in the root with PostgreSQL 17, by haf17.sh.
#
#   import NAME ROOT CHANGE...   the folder becomes the image hafstack-test/NAME of the Engine at $host
#   base ROOT                    busybox, its links, and the few files every program looks for
#   copy ROOT FILE...            programs or libraries, and the libraries they need, each at its own path

import() {
    local name=$1 root=$2 change changes=()
    shift 2
    for change; do changes+=(--change "$change"); done
    tar --create --numeric-owner --owner=0 --group=0 --directory="$root" . |
        docker --host "$host" import "${changes[@]}" - "hafstack-test/$name:latest" >/dev/null
    printf 'hafstack-test/%s\n' "$name"
}

copy() {
    local root=$1 file
    shift
    for file; do
        mkdir -p "$root$(dirname "$file")"
        cp --dereference "$file" "$root$file"
        { ldd "$file" 2>/dev/null | grep -oE '/[^ )]+' || true; } | while read -r lib; do
            [ -e "$root$lib" ] || { mkdir -p "$root$(dirname "$lib")"; cp --dereference "$lib" "$root$lib"; }
        done
    done
}

base() {
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
