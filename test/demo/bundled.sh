# shellcheck shell=bash disable=SC2154,SC2034
# What differs where PostgreSQL is in HAF's container: sourced by demo.sh --bundled.  The operator starts one container, with
# the server alone; the rest is hafstack's.

first=$stack-haf                        # the operator's container
volume=$stack-data

prepare() {
    title "A scratch Engine, images, and HAF's container with PostgreSQL 17 alone"
    engine_start "$work/engine" postgres
    test/images/build.sh "$ENGINE_HOST" busybox helper api haf17
    network=$stack-net
    gateway=$(engine_network "$network")
    PG_PORT=$(pg_free_port)
    engine_docker volume create "$volume" >/dev/null
    engine_docker run --detach --name "$first" --network "$network" --network-alias haf --init \
        --stop-signal SIGINT --stop-timeout 120 --shm-size 128m --restart unless-stopped \
        --volume "$volume:/home/hived/datadir" --volume "$ENGINE_SOCKET:/var/run/docker.sock" \
        --group-add "$(stat -c %g "$ENGINE_SOCKET")" --publish "127.0.0.1:$PG_PORT:5432" \
        --env PG_ACCESS_NETWORK="host all all ${gateway%.*}.0/24 trust" \
        hafstack-test/haf17 --skip-hived --replay-blocks=$replay --replay-rate=2500 --block-interval=0.5 \
        --index-delay=3 --index-poll=1 2>&1 >/dev/null | grep -v 'IPv4 forwarding' >&2 || true
    for _ in $(seq 600); do
        ! pg_psql --command='SELECT hive.get_sync_state()' >/dev/null 2>&1 || break
        sleep 0.2
    done
    pg_psql --command="ALTER SYSTEM SET hafstack.live_max_age = '1min'" --command="ALTER SYSTEM SET hafstack.retry_delay = '1s'"
    pg_psql --command='SELECT pg_reload_conf()' >/dev/null
}

may_use_engine() { :; }                 # its container was given the socket's group

# Wherever the server is now: every container of the chain has the first one's ports.
pg_psql() {
    PGHOST=127.0.0.1 PGPORT=$PG_PORT PGUSER=haf_admin PGDATABASE=haf_block_log PGCONNECT_TIMEOUT=10 \
        PGOPTIONS='-c client_min_messages=warning' \
        "$PG_BIN/psql" --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"
}

pg_url() { printf 'postgres://haf_admin@%s:5432/haf_block_log\n' "$1"; }

where_it_is() { printf '  connect:  psql -h 127.0.0.1 -p %s -U haf_admin haf_block_log\n' "$PG_PORT"; }

# The hand-off program first, or it would start the next.
remove_containers() {
    {
        printf '%s\n' "$stack-handoff"
        engine_docker ps --all --quiet --filter "label=io.hafstack.stack=$stack"
        engine_docker ps --all --quiet --filter "volume=$volume"
    } | xargs -r -n 1 docker --host "$ENGINE_HOST" rm --force >/dev/null 2>&1 || true
    engine_docker volume rm "$volume" >/dev/null 2>&1 || true
}
