#!/bin/bash
# Makes the images of the tests and the demo on the spot, from what this machine has installed: no registry is needed.
#
#   test/images/build.sh SOCKET [NAME...]      SOCKET: path of the Engine's socket, or a DOCKER_HOST
#
#   hafstack-test/busybox   busybox and its links
#   hafstack-test/helper    the same, bash, psql and haf_app.sh: what the diagram calls the helper container
#   hafstack-test/hived     the helper with the simulator of hived as its entrypoint (StopSignal SIGINT is the spec's to set)
#   hafstack-test/api       the helper with a small HTTP server as its entrypoint (test/images/api/start says how to set it)
#   hafstack-test/haf17     only when named: HAF's image in small, PostgreSQL 17 and hived over one data directory (haf17.sh)
#
# Needs busybox-static, bash, a postgresql-client and docker.io.  PG_CONFIG chooses whose psql.  A few seconds.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
case ${1:?the Engine\'s socket} in *://*) host=$1 ;; *) host=unix://$1 ;; esac
shift
[ $# -gt 0 ] || set -- busybox helper hived api

. "$here/parts.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

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
        haf17)   "$here/haf17.sh" "$host" ;;
        *)       echo "no such image: $name" >&2; exit 2 ;;
    esac
done
