#!/bin/bash
# All tests, on what ./run has built and installed: everything in test/t under prove, as postgres, with an Engine of its own.
# On the machine's release of PostgreSQL, and beside that what has to do with the server once more on PostgreSQL 17, built
# and run in a root that test/images/root17.sh makes once.
#
#   test/test.sh [--here | --17] [FILE...]
#
# --here, --17: on that one only.  Names of test/t files: only those, and without --17 only here.
set -euo pipefail
cd "$(dirname "$0")/.."

here=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
releases=("$here" 17)
case ${1:-} in
    --here) releases=("$here"); shift ;;
    --17)   releases=(17); shift ;;
    ?*)     releases=("$here") ;;
esac
[ "$here" != 17 ] || releases=(17)
if [ $# -gt 0 ]; then files=("$@"); else files=(test/t/*.t); fi

work=$(mktemp -d)
chmod 711 "$work"
controls=()
finish() {
    if [ ${#controls[@]} -gt 0 ]; then
        kill -TERM "${controls[@]}" 2>/dev/null || true
        wait "${controls[@]}" 2>/dev/null || true
    fi
    rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

start_control() {                       # RELEASE: an Engine of its own, as some tests kill theirs
    local images=(busybox helper hived api)
    [ "$1" != "${releases[-1]}" ] || ! grep -qE '^use Bundled' "${files[@]}" || images+=(haf17)
    mkdir "$work/control-$1"
    chmod 755 "$work/control-$1"
    test/lib/control.sh "$work/control-$1" postgres "${images[@]}" 5>&- &
    controls+=($!)
}

await_controls() {
    local i
    for ((i = 0; i < ${#controls[@]}; i++)); do
        until [ -e "$work/control-${releases[i]}/host" ]; do
            kill -0 "${controls[i]}" 2>/dev/null || return 1
            sleep 0.1
        done
    done
}

prepare() {                             # RELEASE OWNER: its copy of what the tests read
    mkdir "$work/$1"
    cp -r test extension include sql expected docs "$work/$1/"
    chown -R "$2" "$work/$1"
}

# A test that starts no server says the same on every release, and those of the bundled topology bring their own in the
# image: the two kinds go one to either side, as both sides are to end at about the same time.
belongs_to() {                          # RELEASE FILE
    if grep -qE '^use Bundled' "$2"; then [ "$1" = "${releases[-1]}" ]
    elif grep -qE '^use (Hafstack|PostgreSQL::Test)' "$2"; then true
    else [ "$1" = "${releases[0]}" ]
    fi
}

tests=() rules=()
for release in "${releases[@]}"; do
    if [ "$release" = "$here" ]; then
        prepare "$release" postgres:
    else                                # built once, for the image too
        ROOT17=$(test/images/root17.sh)
        export ROOT17
        test/lib/build17.sh "$work/built17"
        export BUILT17=$work/built17
        prepare 17 105:109
    fi
    rules+=(--rules "seq=$release/**")
    for file in "${files[@]}"; do
        if belongs_to "$release" "$file"; then tests+=("$release/$file"); fi
    done
done
for release in "${releases[@]}"; do start_control "$release"; done
await_controls

export TEST_HERE=$here
ln -s "$PWD/test/lib/one.sh" "$work/one"
cd "$work"
status=0
prove --exec ./one --timer --jobs ${#releases[@]} "${rules[@]}" "${tests[@]}" | tee summary || status=$?
if [ $status != 0 ]; then               # where a test died is in its log only; the summary comes last all the same
    sed -n 's,^\([0-9]*\)/test/t/\(.*\)\.t *(Wstat.*,\1/log/regress_log_\2,p' summary | xargs -r tail -n 20 2>/dev/null || true
    sed -n '/^Test Summary Report/,$p' summary
fi
exit $status
