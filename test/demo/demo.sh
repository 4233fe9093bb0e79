#!/bin/bash
# The demo: three apps from registered to serving on a scratch server, in containers on a scratch Engine (or the one that
# DOCKER_HOST names, on this host), with hived's simulator replaying 20,000 blocks.  Run it by ./run demo, which installs and
# builds what it needs.  --keep leaves all of it running.  --bundled: PostgreSQL 17 in a container like HAF's, which is handed
# from one index build to the next and then to HAF (bundled.sh has what differs).
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/lib/engine.sh
. test/lib/pg.sh

keep='' topology=external
for word; do
    case $word in
        --keep) keep=yes ;;
        --bundled) topology=bundled ;;
        *) printf 'usage: ./run demo [--bundled] [--keep]\n' >&2; exit 2 ;;
    esac
done

stack=demo$$
replay=20000
work=$(mktemp -d)
chmod 711 "$work"
network=

remove_containers() {
    engine_docker ps --all --quiet --filter "label=io.hafstack.stack=$stack" |
        xargs -r docker --host "$ENGINE_HOST" rm --force >/dev/null 2>&1 || true
}

clean_up() {
    trap '' INT TERM
    [ -z "${drawn:-}" ] || printf '\n'
    printf 'cleaning up\n'
    [ -z "${PG_DIR:-}" ] || pg_stop immediate >/dev/null 2>&1 || true
    if [ -n "${ENGINE_HOST:-}" ]; then
        remove_containers
        [ -z "$network" ] || engine_docker network rm "$network" >/dev/null 2>&1 || true
        engine_stop
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

prepare() {
    title "A scratch Engine, images, and a scratch PostgreSQL"
    engine_start "$work/engine" postgres
    test/images/build.sh "$ENGINE_HOST"
    network=$stack-net
    gateway=$(engine_network "$network")
    pg_init "$work/pg"
    pg_listen "$gateway" "${gateway%.*}.0/24"
    pg_conf "hafstack.docker_host = '$ENGINE_HOST'" "hafstack.live_max_age = '1min'" "hafstack.retry_delay = '1s'"
    pg_start
    pg_create_haf
}

# The Engine's socket has a group that the server may not be in; the demo's own has.
may_use_engine() {
    pg_as test -w "$ENGINE_SOCKET" || {
        printf 'The server runs as postgres, who may not use %s.\n' "$ENGINE_SOCKET" >&2
        return 1
    }
}

register() {
    title "Three apps are registered, and the stack is started"
    tally=$(pg_free_port) digest=$(pg_free_port) explorer=$(pg_free_port) backend=$(pg_free_port)
    pg_psql --command='CREATE EXTENSION hafstack' --command="SELECT hafstack.configure(name => '$stack')" >/dev/null
    pg_psql -v topology=$topology -v network="$network" -v gateway="$gateway" -v url="$(pg_url haf)" -v apps="$PWD/test/demo" \
        -v replay_blocks=$replay -v tally_port="$tally" -v digest_port="$digest" -v explorer_port="$explorer" \
        -v backend_port="$backend" -f test/demo/register.sql >/dev/null
    pg_psql --command="SELECT format('  %-9s depends on %-17s contexts %s', name, depends_on, contexts) FROM hafstack.app ORDER BY place"
    pg_psql --command='SELECT hafstack.start()' >/dev/null
}

# At a hand-over (bundled) the database is away for a moment; what is asked meanwhile has no answer.
# In place on a terminal: go up as many lines as were drawn, and draw again.
draw() {
    local lines count line width
    lines=$(pg_psql -v replay=$replay -f test/demo/watch.sql 2>/dev/null) || return 0
    width=$(tput cols 2>/dev/null || echo 120)
    [ -z "${drawn:-}" ] || printf '\033[%dA' "$drawn"
    count=0
    while IFS= read -r line; do
        printf '\033[2K%s\n' "${line:0:width-1}"
        count=$((count + 1))
    done <<<"$lines"
    drawn=$count
}

# Line by line elsewhere: events as they come, and each app's progress when it has moved.
tell() {
    local line now
    while IFS='|' read -r seq line; do
        [ -n "$seq" ] || continue
        told=$seq
        printf '%s\n' "$line"
    done < <(pg_psql --command="
        SELECT seq, format('%s  %-9s %-9s %s%s', to_char(at, 'HH24:MI:SS.MS'), kind, coalesce(app, CASE kind WHEN 'phase' THEN 'stack' ELSE '' END),
                coalesce(from_state || ' -> ', '') || coalesce(to_state, ''), coalesce('  ' || detail, ''))
        FROM hafstack.event WHERE seq > $told ORDER BY seq" 2>/dev/null)
    now=$(pg_psql -v replay=$replay -f test/demo/watch.sql 2>/dev/null | grep -E '^HAF .*REINDEX|blocks/s' || true)
    if [ -n "$now" ] && [ "$now" != "${moved:-}" ]; then
        moved=$now
        printf '%s\n' "$now" | sed 's/^/    /'
    fi
}

watch_it() {
    title "From registered to serving (the stars: how many of an app's eight phases it has come to)"
    local state began=$SECONDS
    told=0
    while :; do
        if [ -t 1 ]; then draw; else tell; fi
        state=$(pg_psql --command="SELECT CASE WHEN bool_or(failed) THEN 'failed' WHEN bool_and(phase = 'serving') THEN 'serving' ELSE '' END FROM hafstack.app" 2>/dev/null) || state=''
        case $state in
            serving) break ;;
            failed) if [ -t 1 ]; then draw; else tell; fi; printf 'an app has failed\n' >&2; return 1 ;;
        esac
        [ $((SECONDS - began)) -lt 600 ] || { printf 'not serving after ten minutes\n' >&2; return 1; }
        sleep 0.5
    done
    if [ -t 1 ]; then draw; else tell; fi
    drawn=
}

# What an app's API answers must be what the blocks say.
fetch() {
    local app=$1 port=$2 expected=$3 answer ok
    answer=$(curl --silent --show-error --fail --noproxy '*' --max-time 20 "http://127.0.0.1:$port/")
    ok=$(pg_psql -v answer="$answer" <<EOS
SELECT (a->>'sum')::numeric = (SELECT $expected FROM hafd.blocks WHERE num <= (a->>'last_block')::int)
FROM (SELECT coalesce(:'answer'::json->'answer', :'answer'::json)) AS answer (a);   -- explorer's front wraps it
EOS
)
    printf '%-9s http://127.0.0.1:%s/  %s  %s\n' "$app" "$port" "$answer" "$([ "$ok" = t ] && echo 'sum is right' || echo 'SUM IS WRONG')"
    [ "$ok" = t ]
}

check_answers() {
    title "What the APIs answer, against the blocks"
    fetch tally "$tally" 'sum(num)'
    fetch digest "$digest" "sum((SELECT sum(get_byte(hash, i)) FROM generate_series(0, 19) AS i))"
    fetch explorer "$explorer" 'sum(num)'
}

show_end() {
    title "Event history: SELECT * FROM hafstack.event (phases only)"
    pg_psql --command="SELECT to_char(at, 'HH24:MI:SS.MS'), coalesce(app, 'stack'), from_state || ' -> ' || to_state
        FROM hafstack.event WHERE kind = 'phase' ORDER BY seq" | tr '|' '\t'
    title "Final status: SELECT hafstack.status() (apps shortened)"
    pg_psql --command="SELECT jsonb_pretty(s || jsonb_build_object('apps', (
            SELECT jsonb_agg((a - 'containers') || jsonb_build_object('containers',
                (SELECT jsonb_agg(c->>'name' || ': ' || (c->>'state')) FROM jsonb_array_elements(a->'containers') AS c)))
            FROM jsonb_array_elements(s->'apps') AS a)))
        FROM hafstack.status() AS s"
    [ -n "$keep" ] || { printf '\n./run demo --keep leaves all of this running, to play with.\n'; return 0; }
    title "What to try next"
    cat <<EOS
  SELECT * FROM hafstack.apps;                        how far everybody is, and what holds them
  SELECT hafstack.logs('tally', 'setup');             what a job said
  SELECT hafstack.pause(); SELECT hafstack.resume();
  SELECT hafstack.reset('digest');                    set one app up anew; the others go on
  SELECT hafstack.hold('explorer');
  LISTEN hafstack;                                    every change, as it happens
  SELECT hafstack.stop(); CALL hafstack.wait_for(NULL, 'idle');
EOS
}

where_it_is() {
    printf '  connect:  psql -h %s -p %s -U haf_admin haf_block_log\n' "$PG_DIR" "$PG_PORT"
}

leave_running() {
    cat >"$work/stop" <<EOS
#!/bin/bash
cd '$PWD' || exit 1
. test/lib/engine.sh; . test/lib/pg.sh
ENGINE_DIR='$ENGINE_DIR' ENGINE_HOST='$ENGINE_HOST' ENGINE_SOCKET='$ENGINE_SOCKET' PG_DIR='${PG_DIR:-}' PG_BIN='$PG_BIN'
stack=$stack volume='${volume:-}'
$(declare -f remove_containers)
[ -z "\$PG_DIR" ] || pg_stop immediate
remove_containers
engine_docker network rm '$network' >/dev/null
engine_stop
rm -rf '$work'
EOS
    chmod +x "$work/stop"
    trap - EXIT
    title "It stays up"
    where_it_is
    printf '  docker:   docker --host %s ps\n  end it:   %s/stop\n' "$ENGINE_HOST" "$work"
}

# shellcheck source=bundled.sh
[ $topology = external ] || . test/demo/bundled.sh

began=$SECONDS
prepare
may_use_engine
register
watch_it
check_answers
show_end
printf '\nfrom nothing to serving and checked in %d s\n' $((SECONDS - began))
[ -z "$keep" ] || leave_running
