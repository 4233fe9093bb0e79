# shellcheck shell=bash disable=SC2154
# How long the database is away while hafstack hands it from one container to the next (topology bundled), as away.c sees it
# from outside.  Sourced by bench.sh.  In every round, over a new volume, of image hafstack-test/haf17:
#
#   stop, start     docker stop, docker start of a container with hived, which shuts its server down
#   kill, start     docker kill, docker start of a container with the server alone, which has to recover
#   the chain       the operator's container, four index builders (`sleep 3`), HAF: five hand-overs.  The first stops a server;
#                   a builder's is killed with its container, as HAF's entrypoint does; the last has HAF restart its server
#                   once more, which stop, start has too

HANDOVER_BUILDERS=4 HANDOVER_JOIN_MS=1500

handover_psql() {
    PGHOST=127.0.0.1 PGPORT=$handover_port PGUSER=haf_admin PGDATABASE=haf_block_log PGCONNECT_TIMEOUT=10 \
        PGOPTIONS='-c client_min_messages=warning' \
        "$PG_BIN/psql" --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"
}

handover_until() {                      # SQL: until it returns t, two minutes
    local i
    for ((i = 0; i < 600; i++)); do
        [ "$(handover_psql --command="$1" 2>/dev/null)" != t ] || return 0
        sleep 0.2
    done
    printf 'in vain: %s\n' "$1" >&2
    return 1
}

handover_container() {                  # ARGUMENTS...: the operator's, over a new volume
    handover_port=$(pg_free_port)
    engine_docker volume create --label bench bench-data >/dev/null
    engine_docker run --detach --name bench-haf --label bench --network bench-net --init --stop-signal SIGINT --stop-timeout 60 \
        --volume bench-data:/home/hived/datadir --volume "$ENGINE_SOCKET:/var/run/docker.sock" --volume "$work/haf:/bench:ro" \
        --group-add "$(stat -c %g "$ENGINE_SOCKET")" --publish "127.0.0.1:$handover_port:5432" \
        --env "PG_ACCESS_ALL=host all all all trust" hafstack-test/haf17 "$@" 2>&1 >/dev/null | grep -v 'IPv4 forwarding' >&2 || true
    handover_until 'SELECT count(*) = 0 FROM hafd.contexts'
}

handover_watch() {
    "$work/away" "host=127.0.0.1 port=$handover_port user=haf_admin dbname=haf_block_log connect_timeout=10" \
        "$HANDOVER_JOIN_MS" >"$1" &
    handover_watcher=$!
    helpers+=("$handover_watcher")
    sleep 1
}

handover_end() {
    kill "$handover_watcher" 2>/dev/null || true
    wait "$handover_watcher" 2>/dev/null || true
    engine_docker rm --force bench-handoff >/dev/null 2>&1 || true
    remove_containers
    engine_docker volume rm bench-data >/dev/null
}

handover_outage() {                     # FILE COUNT: until so many were seen
    local i
    for ((i = 0; i < 600; i++)); do
        [ "$(wc -l <"$1")" -lt "$2" ] || return 0
        sleep 0.2
    done
    printf 'the database did not come back\n' >&2
    return 1
}

handover_bare() {                       # stop|kill ARGUMENTS...
    local how=$1 out=$work/handover-now
    shift
    handover_container "$@"
    [ "$how" = kill ] || handover_until "SELECT state = 'LIVE' FROM hafd.hive_state"
    handover_watch "$out"
    engine_docker "$how" bench-haf >/dev/null
    engine_docker start bench-haf >/dev/null
    handover_outage "$out" 1
    head -n 1 "$out" >>"$work/handover-$how"
    handover_end
}

handover_chain() {
    local out=$work/handover-now
    handover_container --skip-hived --replay-blocks=100
    handover_psql --command='CREATE EXTENSION hafstack' --command="
        SELECT hafstack.configure(name => 'bench', topology => 'bundled')" --command="
        SELECT hafstack.register_app('app-' || i, index => '{\"Cmd\": [\"--execute-maintenance-script=/bench/script\"]}')
        FROM generate_series(1, $HANDOVER_BUILDERS) AS i" >/dev/null
    handover_watch "$out"
    handover_psql --command='SELECT hafstack.start()' >/dev/null
    handover_until "SELECT state = 'LIVE' FROM hafd.hive_state"
    handover_outage "$out" $((HANDOVER_BUILDERS + 1))
    head -n 1 "$out" >>"$work/handover-first"
    sed -n "2,${HANDOVER_BUILDERS}p" "$out" >>"$work/handover-next"
    sed -n "$((HANDOVER_BUILDERS + 1))p" "$out" >>"$work/handover-last"
    handover_end
}

handover_row() {                        # NAME FILE [OF]
    local median
    median=$(quantile 0.5 <"$work/handover-$2")
    printf '%-44s %4d %10.0f %22s   %s\n' "$1" "$(wc -l <"$work/handover-$2")" "$median" \
        "$([ -z "${3:-}" ] || printf '%s of %s, start' "$(ratio "$median" "$(quantile 0.5 <"$work/handover-$3")")" "$3")" \
        "$(tr '\n' ' ' <"$work/handover-$2")"
}

bench_handover() {
    local round
    title "Hand-over (bundled): the database is away, milliseconds; $BENCH_ROUNDS rounds in turn"
    need_engine
    test/images/build.sh "$ENGINE_HOST" haf17 >/dev/null
    compile away -I"$("$PG_CONFIG" --includedir)" -L"$("$PG_CONFIG" --libdir)" -lpq
    engine_network bench-net >/dev/null
    mkdir "$work/haf"
    printf '#!/bin/sh\nsleep 3\n' >"$work/haf/script"
    chmod 755 "$work/haf/script"
    for ((round = 0; round < BENCH_ROUNDS; round++)); do
        handover_bare stop --replay-blocks=100
        handover_bare kill --skip-hived
        handover_chain
    done
    engine_docker network rm bench-net >/dev/null
    printf '%-44s %4s %10s %22s   %s\n' '' n median ratio all
    handover_row 'docker stop, docker start (hived)' stop
    handover_row 'docker kill, docker start (server alone)' kill
    handover_row "hand-over from the operator's to an index build" first stop
    handover_row 'hand-over from one index build to the next' next kill
    handover_row 'hand-over from an index build to HAF' last stop
}
