# shellcheck shell=bash disable=SC2154
# What the worker costs while nothing is wrong: 20 apps serving (40 containers, a context each), a block every 3 s that
# moves HAF and every context.  Beside it an idle backend that has run one query.  Sourced by bench.sh.

STANDING_APPS=20 STANDING_SECONDS=45

standing_memory() {                     # PID: private and proportional KiB
    awk '/^Private_(Clean|Dirty):/ {private += $2} /^Pss:/ {pss = $2} END {print private, pss}' "/proc/$1/smaps_rollup"
}

standing_cpu() { cut -d' ' -f1 "/proc/$1/schedstat"; }       # nanoseconds on a CPU

standing_begin() {
    fresh_server "hafstack.docker_host = '$ENGINE_HOST'"
    pg_psql --command="SELECT hive.app_create_context('context_' || i, 'public') FROM generate_series(1, $STANDING_APPS) AS i" \
        --command="CALL public.next_block()" --command="
        SELECT hafstack.configure(name => 'bench', network => 'host',
            defaults => '{\"Image\": \"hafstack-test/busybox\", \"Cmd\": [\"sleep\", \"1000\"]}')" --command="
        SELECT hafstack.register_app('app-' || i, contexts => ARRAY['context_' || i], sync => '{}', api => '{}')
        FROM generate_series(1, $STANDING_APPS) AS i" --command='SELECT hafstack.start()' >/dev/null
    for ((i = 1; i <= STANDING_APPS; i++)); do
        pg_psql --command="CALL hafstack.wait_for('app-$i', 'serving', '2 min')"
    done
}

bench_standing() {
    local i worker idle cpu idle_cpu private pss idle_private idle_pss
    title "Standing cost, $STANDING_APPS apps serving, $STANDING_SECONDS s"
    need_engine
    standing_begin
    # the writer of blocks, and the idle one beside
    (while :; do echo 'CALL public.next_block();'; sleep 3; done) | pg_psql >/dev/null 2>&1 &
    helpers+=($!)
    (echo "SET application_name = 'idle'; SELECT count(*) FROM hafd.contexts;"; sleep 1000) | pg_psql >/dev/null 2>&1 &
    helpers+=($!)
    sleep 5
    worker=$(worker_pid)
    idle=$(pg_psql --command="SELECT pid FROM pg_stat_activity WHERE application_name = 'idle'")
    cpu=$(standing_cpu "$worker") idle_cpu=$(standing_cpu "$idle")
    sleep "$STANDING_SECONDS"
    cpu=$(($(standing_cpu "$worker") - cpu)) idle_cpu=$(($(standing_cpu "$idle") - idle_cpu))
    read -r private pss < <(standing_memory "$worker")
    read -r idle_private idle_pss < <(standing_memory "$idle")
    kill "${helpers[@]: -2}" 2>/dev/null || true
    printf '%-30s %14s %14s %10s\n' '' 'CPU s / hour' 'private MB' 'Pss MB'
    printf '%-30s %14.2f %14.1f %10.1f\n' "worker" "$(awk "BEGIN {print $cpu / 1e9 / $STANDING_SECONDS * 3600}")" \
        "$(ratio "$private" 1024)" "$(ratio "$pss" 1024)"
    printf '%-30s %14.2f %14.1f %10.1f\n' "idle backend" "$(awk "BEGIN {print $idle_cpu / 1e9 / $STANDING_SECONDS * 3600}")" \
        "$(ratio "$idle_private" 1024)" "$(ratio "$idle_pss" 1024)"
    printf '%-30s %14s %14s %10s\n' "worker of idle backend" '' "$(ratio "$private" "$idle_private")" "$(ratio "$pss" "$idle_pss")"
    remove_containers
}
