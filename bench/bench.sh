#!/bin/bash
# Benchmarks.  ./run bench [NAME...] installs and builds what is needed and calls this:
#
#   bringup    10 apps, 40 containers: hafstack, a program that makes the same Engine calls and waits by /wait (the floor),
#              and docker-compose with the same graph, in turn
#   reaction   exit of a job's process to the next container's start call, beside that same floor; commit of HAF's going
#              live to NOTIFY in a listener
#   standing   CPU and private memory of the worker with 20 apps serving and a block every 3 s, beside an idle backend
#   rounds     one observe-decide round, decide() alone, and status(), with 10 to 10,000 apps
#   handover   how long the database is away when it is handed from one of HAF's containers to the next, beside a bare docker
#              stop and start
#
# What is compared is measured in turn in one run, and shown as medians and ratios; times of different machines, or of a
# busy and an idle one, say nothing beside each other.  Nothing passes or fails.  Everything happens in a folder of its
# own under /tmp, with an Engine and a server of its own, and is gone afterwards.  BENCH_ROUNDS=N sets the repetitions of
# bringup (3).
set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib/engine.sh
. test/lib/pg.sh

BENCH_ROUNDS=${BENCH_ROUNDS:-3}
work=$(mktemp -d)
chmod 711 "$work"
helpers=()                              # pids of what runs beside
clean_up() {
    trap '' INT TERM
    [ ${#helpers[@]} -eq 0 ] || kill "${helpers[@]}" 2>/dev/null || true
    [ -z "${PG_DIR:-}" ] || pg_stop immediate >/dev/null 2>&1 || true
    if [ -n "${ENGINE_HOST:-}" ]; then
        remove_containers
        engine_stop
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

# The Engine with busybox in it, once for all that want it.
need_engine() {
    [ -z "${ENGINE_HOST:-}" ] || return 0
    engine_start "$work/engine" postgres
    test/images/build.sh "$ENGINE_HOST" busybox >/dev/null
}

# All that a benchmark made bears a label: "bench", or hafstack's with that name.
remove_containers() {
    local filter
    for filter in label=bench label=io.hafstack.stack=bench label=com.docker.compose.project=bench; do
        engine_docker ps --all --quiet --no-trunc --filter "$filter" |
            xargs -r -n 20 -P 4 docker --host "$ENGINE_HOST" rm --force --volumes >/dev/null 2>&1 || true
    done
}

# A fresh server with a HAF that is live, and these settings besides.
fresh_server() {
    [ -z "${PG_DIR:-}" ] || pg_stop
    rm -rf "$work/pg"
    pg_init "$work/pg"
    pg_conf "hafstack.live_max_age = 0" "autovacuum = off" "$@"
    pg_start
    pg_create_haf
    pg_psql --file=bench/haf.sql >/dev/null
}

worker_pid() {
    local pid i
    for ((i = 0; i < 100; i++)); do
        pid=$(pg_psql --command="SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'")
        [ -z "$pid" ] || { printf '%s\n' "$pid"; return; }
        sleep 0.1
    done
    return 1
}

worker_gone() {
    local i
    for ((i = 0; i < 100; i++)); do
        [ -n "$(pg_psql --command="SELECT pid FROM pg_stat_activity WHERE backend_type = 'hafstack worker'")" ] || return 0
        sleep 0.1
    done
    return 1
}

compile() {                             # NAME [FLAGS...]: bench/NAME.c -> $work/NAME
    local name=$1
    shift
    gcc -O2 -std=gnu11 -Wall -Wextra -Werror -Iinclude -o "$work/$name" "bench/$name.c" "$@"
}

milliseconds() { printf '%s\n' $(($(date +%s%N) / 1000000)); }

# Of numbers, one a line: the quantile Q (0.5: the median).
quantile() { sort -g | awk -v q="$1" '{a[NR] = $1} END {i = int(q * NR + 0.5); if (i < 1) i = 1; if (i > NR) i = NR; print a[i]}'; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }

load() { cut -d' ' -f1-3 /proc/loadavg; }

. bench/bringup.sh
. bench/reaction.sh
. bench/standing.sh
. bench/rounds.sh
. bench/handover.sh

[ $# -gt 0 ] || set -- bringup reaction standing rounds handover
for name; do
    case $name in
        bringup|reaction|standing|rounds|handover) ;;
        *) printf 'no such benchmark: %s (bringup, reaction, standing, rounds, handover)\n' "$name" >&2; exit 2 ;;
    esac
done
printf '%s, %s CPUs, PostgreSQL %s, Docker %s; load before: %s\n' "$(uname -sr)" "$(nproc)" \
    "$("$PG_CONFIG" --version | cut -d' ' -f2)" "$(dockerd --version | sed 's/.*version \([^,]*\),.*/\1/')" "$(load)"
for name; do
    "bench_$name"
    printf '(load after: %s)\n' "$(load)"
done
