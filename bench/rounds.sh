# shellcheck shell=bash disable=SC2154
# How the cost of a round grows with the number of apps.  Sourced by bench.sh.
#
#   decide(), explain()   alone (decide.c): least time of a round, in three scenes
#   the worker's round    look at HAF, decide, publish: CPU time over the number of looks, which are the only transactions of
#                         the database then; apps made by apps.sql, poll_interval 10 ms
#   status()              median time of a call, as a client sees it

ROUNDS_SIZES='10 100 1000 10000'

rounds_commits() {                      # of the database, its own session aside
    PGDATABASE=postgres pg_psql --command="SELECT pg_stat_get_db_xact_commit(oid) FROM pg_database WHERE datname = 'haf_block_log'"
}

# Microseconds of CPU of one round of the worker.  Statistics arrive with a second's delay, hence the long window.
rounds_worker() {
    local pid cpu commits
    pid=$(worker_pid)
    sleep 2
    cpu=$(cut -d' ' -f1 "/proc/$pid/schedstat") commits=$(rounds_commits)
    sleep 6
    cpu=$(($(cut -d' ' -f1 "/proc/$pid/schedstat") - cpu)) commits=$(($(rounds_commits) - commits))
    awk -v c="$cpu" -v n="$commits" 'BEGIN {printf "%.1f", c / 1000 / n}'
}

rounds_status() {                       # milliseconds
    local i
    for ((i = 0; i < 5; i++)); do echo 'SELECT length(hafstack.status()::text) > 0;'; done |
        { echo '\timing on'; cat; } | pg_psql | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | quantile 0.5
}

# Columns as times and, below each, how often the line before.
rounds_table() {                        # FILE UNIT NAME...
    local file=$1 unit=$2
    shift 2
    printf '%-8s' apps
    printf '%20s' "$@"
    printf '   (%s; x: of the line before)\n' "$unit"
    awk '{printf "%-8s", $1
          for (i = 2; i <= NF; i++) printf "%20s", sprintf("%.1f", $i) (NR > 1 ? sprintf("  x%5.1f", $i / last[i]) : "        ")
          print ""; for (i = 2; i <= NF; i++) last[i] = $i}' "$file"
}

bench_rounds() {
    local size
    title "A round, and what it grows by"
    compile decide extension/decide.c extension/explain.c -Wno-unused-parameter
    "$work/decide" >"$work/rounds-decide"
    cut -d' ' -f1,2,4,6 "$work/rounds-decide" >"$work/rounds-1"
    cut -d' ' -f1,3,5,7 "$work/rounds-decide" >"$work/rounds-2"
    rounds_table "$work/rounds-1" 'us' 'decide: serving' 'setting up' 'clearing'
    rounds_table "$work/rounds-2" 'us' 'explain: serving' 'setting up' 'clearing'
    need_engine
    fresh_server "hafstack.docker_host = '$ENGINE_HOST'" "hafstack.poll_interval = '10ms'" "fsync = off"
    pg_psql --command="SELECT hafstack.configure(name => 'bench')" --command='SELECT hafstack.start()' >/dev/null
    for size in $ROUNDS_SIZES; do
        pg_psql -v n="$size" -f bench/apps.sql >/dev/null
        printf '%s %s %s\n' "$size" "$(rounds_worker)" "$(awk "BEGIN {print 1000 * $(rounds_status)}")"
    done >"$work/rounds-3"
    rounds_table "$work/rounds-3" 'us' "the worker's round" 'status()'
}
