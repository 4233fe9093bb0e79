#!/bin/bash
# Makes hafstack-test/haf17, HAF's image in small, from the root that root17.sh makes: PostgreSQL 17 with hafstack and the
# stand-in for HAF, hived's simulator, and an entrypoint (haf17/entrypoint) that behaves as HAF's does.
#
#   test/images/haf17.sh SOCKET      SOCKET: path of the Engine's socket, or a DOCKER_HOST
#
# Where BUILT17 is set, it is the folder of what test/lib/build17.sh has built already.
#
# HAF's STOPSIGNAL is SIGINT; an image made by import cannot say that, so the container's spec has to.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
lib=$here/../lib
case ${1:?the Engine\'s socket} in *://*) host=$1 ;; *) host=unix://$1 ;; esac
. "$here/parts.sh"

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
ROOT17=$("$here/root17.sh")
export ROOT17
built=${BUILT17:-$work/built}
[ -n "${BUILT17:-}" ] || "$lib/build17.sh" "$built"

# In that root: what runs, and nothing else.
assemble() {
    local image=$1 pg=usr/lib/postgresql/17 program
    base "$image"
    rm -f "$image"/bin/{bash,setpriv}
    # groupadd, usermod and ldd are for those who build a layer over it (docs/bundled.md)
    copy "$image" /usr/bin/{bash,setpriv,locale,ldd} /usr/sbin/{groupadd,usermod} "/$pg"/bin/{postgres,initdb,pg_ctl,pg_isready,pg_controldata,psql}
    ln -s ../usr/bin/bash "$image/bin/bash"
    [ ! -e "/$pg/bin/hafstack_handoff" ] || copy "$image" "/$pg/bin/hafstack_handoff"
    for program in "$image/$pg"/bin/*; do ln -s "../lib/postgresql/17/bin/${program##*/}" "$image/usr/bin/${program##*/}"; done
    find "/$pg/lib" -maxdepth 1 -name '*.so' ! -name 'llvmjit*' -print0 | while IFS= read -r -d '' file; do
        copy "$image" "$file"
    done
    mkdir -p "$image"/usr/share/{postgresql,zoneinfo/Etc} "$image"/usr/lib/locale
    cp -r /usr/share/postgresql/17 "$image/usr/share/postgresql/"
    rm -r "$image/usr/share/postgresql/17/man"
    cp /usr/share/zoneinfo/UTC "$image/usr/share/zoneinfo/"
    cp /usr/share/zoneinfo/UTC "$image/usr/share/zoneinfo/Etc/"
    cp -r /usr/lib/locale/C.utf8 "$image/usr/lib/locale/"
    printf 'root:x:0:0:root:/root:/bin/bash\npostgres:x:105:109::/var/lib/postgresql:/bin/bash\n' >"$image/etc/passwd"
    printf 'root:x:0:\npostgres:x:109:\n' >"$image/etc/group"
    mkdir -p "$image"/var/{lib,run}/postgresql "$image"/home/hived/{bin,datadir,shm_dir} "$image/usr/local/bin"
}

mkdir "$work/image"
{ declare -f assemble; cat "$here/parts.sh"; printf 'set -euo pipefail\nassemble "$1"\n'; } >"$work/assemble"
ROOT17_OVER=$built/installed "$lib/in17.sh" "$work" bash "$work/assemble" "$work/image"
cp "$here/haf17/entrypoint" "$work/image/usr/local/bin/haf-entrypoint"
cp "$here/../haf/hived" "$work/image/home/hived/bin/hived"
chmod 755 "$work/image" "$work/image/usr/local/bin/haf-entrypoint" "$work/image/home/hived/bin/hived"

import haf17 "$work/image" 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PSQLRC=/dev/null' 'EXPOSE 5432' \
    'VOLUME ["/home/hived/datadir"]' 'ENTRYPOINT ["/usr/local/bin/haf-entrypoint"]'
