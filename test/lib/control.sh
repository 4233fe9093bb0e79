#!/bin/bash
# Root's end of the tests, which run as postgres: starts the Engine in DIR/engine, makes the images, then does to that
# Engine what the tests ask for, one word a line through DIR/in, answering "ok" or "failed" through DIR/out.
#
#   control.sh DIR GROUP [IMAGE...]      words: kill9, crash, up, halt, restart, ping, quit
#
# DIR/host says where the Engine is once it is up.
set -u
dir=$1 group=$2
shift 2
cd "$(dirname "$0")/../.." || exit 1
. test/lib/engine.sh

rm -f "$dir/in" "$dir/out"
mkfifo "$dir/in" "$dir/out" || exit 1
chgrp "$group" "$dir/in" "$dir/out" && chmod 660 "$dir/in" "$dir/out"
engine_start "$dir/engine" "$group" || exit 1
trap engine_stop EXIT
# A trap that takes longer than the `read -t` it came in is cut off by bash, and none of its kind runs again.
leave=
trap 'leave=yes' INT TERM
test/images/build.sh "$ENGINE_HOST" "$@" >"$dir/images.log" 2>&1 || { cat "$dir/images.log" >&2; exit 1; }
printf '%s\n' "$ENGINE_HOST" >"$dir/host.new" && mv "$dir/host.new" "$dir/host"

# Opened for reading and writing, so that there is no end of file between two tests.
exec 5<>"$dir/in"
while :; do
    [ -z "$leave" ] || exit 0
    # bash looks at signals only between two commands
    read -r -t 1 word <&5 || continue
    case $word in
        kill9|crash|up|halt|restart|ping) "engine_$word" </dev/null >>"$dir/control.log" 2>&1 && answer=ok || answer=failed ;;
        quit) exit 0 ;;
        *) answer=failed ;;
    esac
    printf '%s\n' "$answer" >"$dir/out"
done
