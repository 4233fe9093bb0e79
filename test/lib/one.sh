#!/bin/bash
# One test file for prove, RELEASE/test/t/NAME.t below the folder of test/test.sh, as postgres: on the machine's own release of
# PostgreSQL, or on 17 in the root that in17.sh goes into.
set -euo pipefail
lib=$(dirname "$(readlink -f "$0")")
work=$PWD release=${1%%/*} file=${1#*/}
cd "$work/$release"

enter=()
user=(--reuid=postgres --regid=postgres --init-groups)
if [ "$release" != "$TEST_HERE" ]; then
    enter=("$lib/in17.sh" "$work")
    export PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config ROOT17_OVER=$BUILT17/installed
    # That root's postgres; the Engine's socket and the control's pipes belong to the group of this machine's.
    user=(--reuid=105 --regid=109 --groups="109,$(id --group postgres)")
fi
exec "${enter[@]}" setpriv "${user[@]}" env HOME="$PWD" DOCKER_CONFIG="$PWD/.docker" PGTZ=UTC LC_ALL=C.UTF-8 \
    TESTDIR="$PWD" TESTDATADIR="$PWD/tmp_check" TESTLOGDIR="$PWD/log" HAFSTACK_CONTROL="$work/control-$release" \
    bash -c 'src=$(dirname "$("$PG_CONFIG" --pgxs)")/..
        export PG_REGRESS=$src/test/regress/pg_regress PERL5LIB=$src/test/perl:$PWD/test/lib PATH=$("$PG_CONFIG" --bindir):$PATH
        exec perl "$0"' "$file"
