# shellcheck shell=bash disable=SC2154
# 10 apps from registered to serving: setup `echo`, sync and API `sleep`, container detector `echo`, all on the host's
# network.  Sourced by bench.sh.  In turn in every round:
#
#   hafstack         start() to the last app's `serving`, seen by wait_for() in the session that called start()
#   floor            floor.c
#   docker-compose   up --detach of the same graph

APPS=10

bringup_compose_file() {
    local i k
    printf 'version: "3.9"\nx-one: &one\n  image: hafstack-test/busybox\n  network_mode: host\nservices:\n'
    for ((i = 0; i < APPS; i++)); do
        printf '  setup-%d:\n    <<: *one\n    command: [echo, done]\n' "$i"
        [ "$i" = 0 ] || printf '    depends_on: {setup-%d: {condition: service_completed_successfully}}\n' $((i - 1))
        printf '  sync-%d:\n    <<: *one\n    command: [sleep, "1000"]\n    depends_on:\n' "$i"
        for ((k = 0; k < APPS; k++)); do
            printf '      setup-%d: {condition: service_completed_successfully}\n' "$k"
        done
        printf '  detector-%d:\n    <<: *one\n    command: [echo, done]\n' "$i"
        printf '    depends_on: {sync-%d: {condition: service_started}}\n' "$i"
        printf '  api-%d:\n    <<: *one\n    command: [sleep, "1000"]\n' "$i"
        printf '    depends_on: {detector-%d: {condition: service_completed_successfully}}\n' "$i"
    done
}

bringup_register() {
    pg_psql --command="SELECT hafstack.configure(name => 'bench', network => 'host',
            defaults => '{\"Image\": \"hafstack-test/busybox\"}')" --command="
        SELECT hafstack.register_app('app-' || i, setup => '{\"Cmd\": [\"echo\", \"done\"]}',
            sync => '{\"Cmd\": [\"sleep\", \"1000\"]}', live_sync => '{\"Cmd\": [\"echo\", \"done\"]}',
            api => '{\"Cmd\": [\"sleep\", \"1000\"]}')
        FROM generate_series(1, $APPS) AS i" >/dev/null
}

bringup_hafstack() {                    # milliseconds
    local begun i waits=()
    pg_psql --command='CREATE EXTENSION hafstack' >/dev/null
    bringup_register
    worker_pid >/dev/null
    for ((i = 1; i <= APPS; i++)); do waits+=(--command="CALL hafstack.wait_for('app-$i', 'serving', '2 min')"); done
    begun=$(milliseconds)
    pg_psql --command='SELECT hafstack.start()' "${waits[@]}" >/dev/null
    printf '%s\n' $(($(milliseconds) - begun))
    # It would bring back what is removed, beside whoever is measured next.
    pg_psql --command='DROP EXTENSION hafstack' >/dev/null
    worker_gone
}

bringup_floor() {
    "$work/floor" "$ENGINE_SOCKET" "$APPS" | awk '{printf "%d\n", $1 * 1000}'
}

bringup_compose() {
    local begun
    begun=$(milliseconds)
    DOCKER_HOST=$ENGINE_HOST docker-compose --project-name bench --file "$work/compose.yml" up --detach \
        >"$work/compose.log" 2>&1 || { tail -n 20 "$work/compose.log" >&2; return 1; }
    printf '%s\n' $(($(milliseconds) - begun))
}

bench_bringup() {
    local round way hafstack floor compose
    title "Bring-up of $APPS apps, 40 containers; $BENCH_ROUNDS rounds in turn"
    need_engine
    compile floor -lcurl -pthread
    bringup_compose_file >"$work/compose.yml"
    fresh_server "hafstack.docker_host = '$ENGINE_HOST'"
    pg_psql --command='DROP EXTENSION hafstack' >/dev/null
    for ((round = 0; round < BENCH_ROUNDS; round++)); do
        for way in hafstack floor compose; do
            "bringup_$way" >>"$work/bringup-$way"
            remove_containers
        done
    done
    hafstack=$(quantile 0.5 <"$work/bringup-hafstack")
    floor=$(quantile 0.5 <"$work/bringup-floor")
    compose=$(quantile 0.5 <"$work/bringup-compose")
    printf '%-34s %10s %16s   %s\n' '' 'median s' 'of the floor' 'all'
    for way in floor hafstack compose; do
        printf '%-34s %10.2f %16s   %s\n' "$way" "$(ratio "${!way}" 1000)" "$(ratio "${!way}" "$floor")" \
            "$(awk '{printf "%.2f ", $1 / 1000}' "$work/bringup-$way")"
    done
    printf '%-34s %10s %16s\n' 'hafstack of compose' '' "$(ratio "$hafstack" "$compose")"
}
