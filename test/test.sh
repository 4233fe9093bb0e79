#!/bin/bash
# All tests, on what ./run has built and installed: pg_regress on a scratch server, then everything in test/t under
# prove, as postgres, with an Engine of their own.  Names of test/t files as arguments run only those.
set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib/pg.sh

work=$(mktemp -d)
chmod 711 "$work"
control=
finish() {
    pg_stop immediate 2>/dev/null || true
    if [ -n "$control" ]; then kill -TERM "$control" 2>/dev/null || true; wait "$control" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

regress() {
    local status=0
    pg_init "$work/regress"
    pg_conf "$(cat test/regress.conf)"
    pg_start
    make --silent installcheck PG_CONFIG="$PG_CONFIG" with_llvm=no \
        REGRESS_OPTS="--dbname=contrib_regression --inputdir=. --outputdir=$work --host=$PG_DIR --port=$PG_PORT --user=postgres" || status=$?
    [ $status = 0 ] || cat "$work/regression.diffs" >&2
    pg_stop
    return $status
}

start_control() {
    mkdir "$work/control"
    chmod 755 "$work/control"
    test/lib/control.sh "$work/control" postgres 5>&- &
    control=$!
    for _ in $(seq 600); do
        [ -e "$work/control/host" ] && return 0
        kill -0 "$control" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

[ $# -gt 0 ] || regress
[ $# -gt 0 ] || set -- test/t/*.t
start_control

mkdir "$work/tap"
cp -r test extension include "$work/tap/"
chown -R postgres: "$work/tap"
cd "$work/tap"
pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")
runuser -u postgres -- env \
    PATH="$("$PG_CONFIG" --bindir):$PATH" PG_CONFIG="$PG_CONFIG" PG_REGRESS="$pgxs/../../src/test/regress/pg_regress" \
    TESTDIR="$work/tap" TESTDATADIR="$work/tap/tmp_check" TESTLOGDIR="$work/tap/log" \
    HAFSTACK_CONTROL="$work/control" HOME="$work/tap" DOCKER_CONFIG="$work/tap/.docker" PGTZ=UTC LC_ALL=C.UTF-8 \
    prove -I "$pgxs/../../src/test/perl" -I test/lib --timer "$@" ||
    { status=$?; tail -n 40 "$work"/tap/tmp_check/log/*.log 2>/dev/null | tail -n 200 >&2; exit $status; }
