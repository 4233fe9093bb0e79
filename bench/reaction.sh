# shellcheck shell=bash disable=SC2154
# How fast something that happened has its consequence.  Sourced by bench.sh.
#
#   exit to start    a job's last act is to note the time (mark.c); a proxy in front of the Engine's socket notes when the
#                    next container's start call arrives (proxy.c).  Most of it is Docker's: chain.c, which does nothing but
#                    /wait and start, through the same proxy, is the floor.
#   live to NOTIFY   HAF's state becomes LIVE in hafd.hive_state; listener.c says when the NOTIFY arrived.

CHAIN_APPS=4 CHAIN_LENGTH=51            # setups in turn: 203 reactions

reaction_pairs() {                      # MARKS STARTS: milliseconds from each mark to the start after it
    paste <(head -n -1 "$1") <(tail -n +2 "$2") |
        awk 'NF == 2 {printf "%.3f\n", (substr($2, 6) - substr($1, 6)) / 1e6}'
}

reaction_proxy() {                      # SOCKET FILE
    "$work/proxy" "$1" "$ENGINE_SOCKET" "$2" &
    helpers+=($!)
    while [ ! -S "$1" ]; do sleep 0.05; done
}

reaction_row() {                        # NAME FILE [FLOOR_P50]
    local p50
    p50=$(quantile 0.5 <"$2")
    printf '%-42s %6d %9.2f %9.2f %14s\n' "$1" "$(wc -l <"$2")" "$p50" "$(quantile 0.99 <"$2")" \
        "$([ -z "${3:-}" ] || ratio "$p50" "$3")"
}

reaction_floor() {
    mkdir "$work/links"
    cp "$work/mark" "$work/links/"
    reaction_proxy "$work/chain.sock" "$work/chain-starts"
    "$work/chain" "$work/chain.sock" 101 "$work/links"
    reaction_pairs "$work/links/marks" "$work/chain-starts" >"$work/reaction-floor"
    remove_containers
}

reaction_hafstack() {
    local spec
    mkdir "$work/jobs"
    cp "$work/mark" "$work/jobs/"
    reaction_proxy "$work/jobs.sock" "$work/job-starts"
    fresh_server "hafstack.docker_host = 'unix://$work/jobs.sock'"
    spec="{\"Image\": \"hafstack-test/busybox\", \"Cmd\": [\"/bench/mark\", \"/bench/marks\"],
           \"HostConfig\": {\"Binds\": [\"$work/jobs:/bench\"]}}"
    pg_psql --command="SELECT hafstack.configure(name => 'bench', network => 'host')" --command="
        SELECT hafstack.register_app('app-' || i, setup => (SELECT jsonb_agg('$spec'::jsonb) FROM generate_series(1, $CHAIN_LENGTH)))
        FROM generate_series(1, $CHAIN_APPS) AS i" --command='SELECT hafstack.start()' \
        --command="CALL hafstack.wait_for(NULL, 'live', '5 min')" >/dev/null
    reaction_pairs "$work/jobs/marks" "$work/job-starts" >"$work/reaction-hafstack"
    remove_containers
}

reaction_notify() {                     # INTERVAL_MS
    pg_conf "hafstack.poll_interval = '${1}ms'"
    pg_reload
    sleep 1
    "$work/listener" "$(pg_url)" 200 "$1" >"$work/reaction-$1"
}

bench_reaction() {
    title "Reaction, milliseconds"
    need_engine
    compile mark -static
    compile proxy -pthread
    compile chain -lcurl
    compile listener -I"$("$PG_CONFIG" --includedir)" -L"$("$PG_CONFIG" --libdir)" -lpq
    reaction_floor
    reaction_hafstack
    reaction_notify 250
    reaction_notify 10
    printf '%-42s %6s %9s %9s %14s\n' '' n p50 p99 'p50 of floor'
    reaction_row "exit to next start, floor (/wait)" "$work/reaction-floor"
    reaction_row "exit to next start, hafstack" "$work/reaction-hafstack" "$(quantile 0.5 <"$work/reaction-floor")"
    reaction_row "live to NOTIFY, poll_interval 250 ms" "$work/reaction-250"
    reaction_row "live to NOTIFY, poll_interval 10 ms" "$work/reaction-10"
}
