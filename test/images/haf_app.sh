# shellcheck shell=bash
# What an app's scripts in the helper container have in common.  Sourced, as `. haf_app.sh`: takes --postgres-url= from
# the arguments and sets $url.
#
#   query SQL                          run it, print what it returns
#   follow SQL SECONDS                 run SQL every so often in one session, until a signal or an error ends it
#   wait_until_live CONTEXT...         return once HAF is live and every one of the contexts has caught up with it, and the
#                                      indexes that were registered for them are there
#
# A script that is signalled ends with 128 + the signal, never with 0: a job that was cut off is not done.
set -u
url=''
for argument; do
    case $argument in --postgres-url=*) url=${argument#*=} ;; esac
done
[ -n "$url" ] || { echo "$0: --postgres-url= is missing" >&2; exit 2; }

child=''
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 130' INT
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 143' TERM

run_psql() { PGOPTIONS='-c client_min_messages=warning' psql --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$url" "$@"; }

query() { run_psql --command="$1"; }

nap() { sleep "$1" & child=$!; wait "$child"; child=''; }      # a trap cannot interrupt a sleep in the foreground

follow() {
    run_psql < <(while printf '%s;\n' "$1" && sleep "$2"; do :; done) >/dev/null &
    child=$!
    wait "$child"
}

wait_until_live() {
    local names
    names=$(printf ",'%s'" "$@")
    until [ "$(query "
        SELECT (SELECT state = 'LIVE' FROM hafd.hive_state)
           AND count(*) = $# AND bool_and(a.is_attached AND s.consistent_block - c.current_block_num <= 1)
           AND bool_and(hive.check_if_registered_indexes_created(c.name))
        FROM hafd.contexts c JOIN hafd.contexts_attachment a ON a.context_id = c.id CROSS JOIN hafd.hive_state s
        WHERE c.name IN (${names#,})")" = t ]; do
        nap 0.3
    done
    echo "live: $*"
}
