# shellcheck shell=bash
# A scratch PostgreSQL for tests and the demo.  Source it from bash, as root (the server runs as postgres, through runuser)
# or as an unprivileged user (the server runs as that user):
#
#   . test/lib/pg.sh
#   pg_init DIR                  make a cluster in DIR; nothing runs yet
#   pg_conf 'name = value' ...   append lines to its configuration
#   pg_listen ADDRESS NET [METHOD]   listen there too, and let that network in (trust, or scram-sha-256)
#   pg_start | pg_stop [MODE] | pg_restart [MODE] | pg_reload     MODE: fast (default), immediate, smart
#   pg_kill9                     kill the postmaster without warning, and wait until its children are gone
#   pg_running
#   pg_create_haf [DATABASE]     the roles, a database owned by haf_admin, and in it the stand-in for HAF (make -C test/haf
#                                install comes first); default haf_block_log
#   pg_psql ARGS...              psql as haf_admin (else the cluster's owner) on PGDATABASE, quiet, unaligned, tuples only,
#                                stops at an error
#   pg_url [HOST [USER [DB]]]    a postgres:// URL; without HOST through the socket
#   pg_log [N]                   the end of the server's log
#
# PG_CONFIG chooses the server, PG_PRELOAD what is preloaded (default hafstack; empty for nothing).  Sets PG_DIR, PG_BIN,
# PG_PORT.  The port is free when pg_init looks; socket and log are in DIR.

PG_BIN=$("${PG_CONFIG:-pg_config}" --bindir)

pg_as() {                               # run as the server's user
    if [ "$(id -u)" = 0 ]; then (cd / && exec runuser -u postgres -- "$@"); else "$@"; fi
}

pg_free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))    # below the ports that connections are given
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s\n' "$port"; return; }
    done
}

pg_init() {
    mkdir -p "$1" || return 1
    PG_DIR=$(cd "$1" && pwd -P)
    PG_PORT=${PG_PORT:-$(pg_free_port)}
    [ "$(id -u)" != 0 ] || chown postgres: "$PG_DIR"
    chmod 755 "$PG_DIR"
    # In a directory that mktemp made, for root alone, the server could not get at it.
    pg_as test -x "$(dirname "$PG_DIR")" || chmod a+x "$(dirname "$PG_DIR")"
    pg_as "$PG_BIN/initdb" --pgdata="$PG_DIR/data" --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync \
        >"$PG_DIR/initdb.log" 2>&1 || { cat "$PG_DIR/initdb.log" >&2; return 1; }
    pg_conf "port = $PG_PORT" "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$PG_DIR'" \
        "shared_preload_libraries = '${PG_PRELOAD-hafstack}'" "timezone = 'UTC'" "log_timezone = 'UTC'" \
        "logging_collector = off" "log_line_prefix = '%m [%p] %b %a '"
    PG_LISTEN=127.0.0.1
}

pg_conf() { printf '%s\n' "$@" >>"$PG_DIR/data/postgresql.conf"; }

pg_listen() {
    PG_LISTEN=$PG_LISTEN,$1
    pg_conf "listen_addresses = '$PG_LISTEN'"
    printf 'host all all %s %s\n' "$2" "${3:-trust}" >>"$PG_DIR/data/pg_hba.conf"
}

# The server must not keep the caller's pipes open, or whoever reads the test's output waits for it.
pg_start() {
    pg_as "$PG_BIN/pg_ctl" start --pgdata="$PG_DIR/data" --log="$PG_DIR/postgresql.log" --wait --timeout=60 --silent \
        </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- || { pg_log 40 >&2; return 1; }
}

pg_running() { pg_as "$PG_BIN/pg_ctl" status --pgdata="$PG_DIR/data" >/dev/null 2>&1; }

pg_stop() {
    pg_running || return 0
    pg_as "$PG_BIN/pg_ctl" stop --pgdata="$PG_DIR/data" --mode="${1:-fast}" --wait --timeout=60 --silent
}

pg_restart() { pg_stop "$@" && pg_start; }

pg_reload() { pg_as "$PG_BIN/pg_ctl" reload --pgdata="$PG_DIR/data" --silent; }

pg_kill9() {
    local pid child children i
    pid=$(head -n 1 "$PG_DIR/data/postmaster.pid") || return 1
    children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
    kill -KILL "$pid" || return 1
    for child in $pid $children; do
        for ((i = 0; i < 600; i++)); do
            # A zombie is gone: only its parent has not looked yet.
            case $({ cut -d')' -f2 "/proc/$child/stat"; } 2>/dev/null) in ''|' Z'*) break ;; esac
            sleep 0.05
        done
    done
    # To pg_ctl a zombie is a running postmaster, and where nobody reaps orphans it stays one.
    ! kill -0 "$pid" 2>/dev/null || rm -f "$PG_DIR/data/postmaster.pid" "$PG_DIR/.s.PGSQL.$PG_PORT.lock"
}

pg_create_haf() {
    local db=${1:-haf_block_log}
    PGUSER=postgres PGDATABASE=postgres pg_psql --command="
        DO \$\$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'haf_admin') THEN
                CREATE ROLE haf_admin WITH LOGIN SUPERUSER CREATEDB CREATEROLE;
            END IF;
        END \$\$" &&
    PGUSER=postgres PGDATABASE=postgres pg_psql --command="CREATE DATABASE \"$db\" OWNER haf_admin" &&
    PGUSER=haf_admin PGDATABASE=$db pg_psql --command='CREATE EXTENSION hive_fork_manager' >/dev/null
}

pg_psql() {
    PGHOST=$PG_DIR PGPORT=$PG_PORT PGUSER=${PGUSER:-haf_admin} PGDATABASE=${PGDATABASE:-haf_block_log} \
        PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning" \
        "$PG_BIN/psql" --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"
}

pg_url() {
    if [ -n "${1:-}" ]; then
        printf 'postgres://%s@%s:%s/%s\n' "${2:-haf_admin}" "$1" "$PG_PORT" "${3:-haf_block_log}"
    else
        printf 'postgres://%s@/%s?host=%s&port=%s\n' "${2:-haf_admin}" "${3:-haf_block_log}" "$PG_DIR" "$PG_PORT"
    fi
}

# shellcheck disable=SC2120
pg_log() { tail -n "${1:-40}" "$PG_DIR/postgresql.log"; }
