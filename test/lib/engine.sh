# shellcheck shell=bash
# A Docker Engine of our own for tests and the demo.  Source it from bash, as root:
#
#   . test/lib/engine.sh
#   engine_start DIR [GROUP]     start a dockerd that keeps everything in DIR; its socket belongs to GROUP
#   engine_network NAME [SUBNET] make a user-defined bridge network, print its gateway (the host, seen from containers)
#   engine_docker ARGS...        the docker client, speaking to it
#   engine_halt                  stop it as a host's shutdown would; what it holds stays for engine_up
#   engine_kill9                 kill it without warning; its containers run on, as they do when a daemon crashes
#   engine_crash                 the same, and its containers with it: a host that loses its power
#   engine_up                    start it again over the same DIR
#   engine_restart               engine_halt, engine_up
#   engine_stop                  end it for good: containers, networks, mounts, processes.  DIR is left to the caller
#
# Sets ENGINE_DIR, ENGINE_SOCKET and ENGINE_HOST (unix://...).  Where DOCKER_HOST is set, that Engine is used as it is:
# nothing is started, and halt, kill, restart and stop refuse or do nothing.
#
# It lives beside other daemons: sockets, pid files, data, containerd and its namespaces are its own, it makes no docker0,
# and it leaves the host's packet filter alone.  Containers on a user-defined bridge reach each other and the host through
# the gateway, and ports are published by docker-proxy; only the way out to the internet is missing, and no test needs it.
# dockerd warns that IPv4 forwarding is off where the host has it off; that is the host's affair and does no harm here.
# Use a short DIR (mktemp -d): socket paths are limited to 107 characters.

engine_docker() { docker --host "$ENGINE_HOST" "$@"; }

engine_say() { printf 'engine: %s\n' "$*" >&2; }

engine_is_ours() { [ -n "${ENGINE_DIR:-}" ]; }

engine_ping() {
    curl --silent --fail --max-time 2 --noproxy '*' --unix-socket "$ENGINE_SOCKET" http://engine/_ping >/dev/null 2>&1
}

engine_pid() {                          # of the daemon, when it runs
    local pid
    pid=$(cat "$ENGINE_DIR/docker.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF -- "--data-root=$ENGINE_DIR/data" &&
        printf '%s\n' "$pid"
}

engine_start() {
    if [ -n "${DOCKER_HOST:-}" ]; then
        ENGINE_DIR='' ENGINE_HOST=$DOCKER_HOST ENGINE_SOCKET=${DOCKER_HOST#unix://}
        engine_docker version >/dev/null || { engine_say "DOCKER_HOST=$DOCKER_HOST does not answer"; return 1; }
        return 0
    fi
    mkdir -p "$1" || return 1
    ENGINE_DIR=$(cd "$1" && pwd -P)
    ENGINE_SOCKET=$ENGINE_DIR/docker.sock
    ENGINE_HOST=unix://$ENGINE_SOCKET
    ENGINE_GROUP=${2:-root}
    if [ ${#ENGINE_DIR} -gt 70 ]; then
        engine_say "$ENGINE_DIR is too long a path for its sockets"; return 1
    fi
    # The socket's group has to get to it, also in a directory that mktemp made for root alone.
    chmod 711 "$ENGINE_DIR"
    case $(stat -c %a "$(dirname "$ENGINE_DIR")") in 700) chmod a+x "$(dirname "$ENGINE_DIR")" ;; esac
    echo '{}' >"$ENGINE_DIR/daemon.json" # instead of the host's own
    engine_up
}

engine_up() {
    engine_is_ours || { engine_say "not ours to start: $ENGINE_HOST"; return 1; }
    local i name
    name=hafstack-$(printf '%s' "$ENGINE_DIR" | cksum | cut -d' ' -f1)
    rm -f "$ENGINE_DIR/docker.pid"
    # In a session of its own, so that a ^C meant for the test does not reach it.  The caller's open files are not for it.
    setsid dockerd --host="$ENGINE_HOST" --group="$ENGINE_GROUP" \
        --data-root="$ENGINE_DIR/data" --exec-root="$ENGINE_DIR/exec" --pidfile="$ENGINE_DIR/docker.pid" \
        --config-file="$ENGINE_DIR/daemon.json" \
        --containerd-namespace="$name" --containerd-plugins-namespace="$name-plugins" \
        --bridge=none --iptables=false --ip-masq=false --ip-forward=false \
        --log-level=warn </dev/null >>"$ENGINE_DIR/dockerd.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    local child=$!
    disown "$child"                     # else bash reports a killed one
    for ((i = 0; i < 600; i++)); do
        engine_ping && return 0
        kill -0 "$child" 2>/dev/null || break
        sleep 0.1
    done
    engine_say "dockerd did not come up; the end of $ENGINE_DIR/dockerd.log:"
    tail -n 20 "$ENGINE_DIR/dockerd.log" >&2
    return 1
}

engine_gone() {                         # PID SECONDS: wait until that process is gone
    local i
    for ((i = 0; i < $2 * 20; i++)); do
        # A zombie is gone: only its parent, this shell, has not looked yet.
        case $(cut -d')' -f2 "/proc/$1/stat" 2>/dev/null) in ''|' Z'*) return 0 ;; esac
        sleep 0.05
    done
    return 1
}

engine_halt() {
    engine_is_ours || { engine_say "not ours to stop: $ENGINE_HOST"; return 1; }
    local pid
    pid=$(engine_pid) || return 0
    kill -TERM "$pid"
    engine_gone "$pid" "${1:-60}"
}

engine_kill9() {
    engine_is_ours || { engine_say "not ours to kill: $ENGINE_HOST"; return 1; }
    local pid
    pid=$(engine_pid) || return 0
    kill -KILL "$pid"
    engine_gone "$pid" 10
    # Its containerd dies with it (the shims do not).  Where nobody reaps orphans the next dockerd would wait for that pid.
    pid=$(cat "$ENGINE_DIR/exec/containerd/containerd.pid" 2>/dev/null)
    [ -z "$pid" ] || engine_gone "$pid" 10
    rm -f "$ENGINE_DIR/docker.pid" "$ENGINE_DIR/exec/containerd/containerd.pid"
}

engine_crash() {
    local shim
    engine_kill9 || return 1
    for shim in $(engine_leftovers); do
        pkill -KILL -P "$shim"          # a container's first process; the kernel ends the rest with it
        kill -KILL "$shim"
    done 2>/dev/null
    return 0
}

engine_restart() { engine_halt && engine_up; }

# A subnet that the host has no route to, where none is given: daemons that start at the same moment on one host would
# otherwise pick the same.
engine_network() {
    local name=$1 subnet=${2:-} hex i
    for ((i = 0; i < 20; i++)); do
        if [ -z "${2:-}" ]; then
            local b=$((RANDOM % 100 + 100)) c=$((RANDOM % 256))
            subnet=10.$b.$c.0/24
            hex=$(printf '00%02X%02X0A' "$c" "$b")
            grep -q "$hex" /proc/net/route && continue
        fi
        engine_docker network create --subnet "$subnet" "$name" >/dev/null || { [ -n "${2:-}" ] && return 1; continue; }
        engine_docker network inspect --format '{{(index .IPAM.Config 0).Gateway}}' "$name" | grep . && return 0
        printf '%s\n' "${subnet%.0/24}.1"
        return 0
    done
    return 1
}

# Processes of ours that a killed daemon left: its containerd and the shims, known by a socket path under our directory.
engine_leftovers() {
    local proc
    for proc in /proc/[0-9]*; do
        case $({ tr '\0' ' ' <"$proc/cmdline"; } 2>/dev/null) in
            *containerd*"$ENGINE_DIR/exec/containerd/"*|*docker-proxy*"$ENGINE_DIR/"*) printf '%s\n' "${proc#/proc/}" ;;
        esac
    done
}

engine_stop() {
    engine_is_ours || return 0
    local ids pid mount
    # One that was killed is started once more: it knows best what it has left behind.
    engine_pid >/dev/null || { [ -d "$ENGINE_DIR/exec" ] && engine_up; }
    if engine_ping; then
        ids=$(engine_docker ps --all --quiet --no-trunc)
        # shellcheck disable=SC2086
        [ -z "$ids" ] || engine_docker rm --force $ids >/dev/null 2>&1
        ids=$(engine_docker network ls --quiet --filter type=custom)
        # shellcheck disable=SC2086
        [ -z "$ids" ] || engine_docker network rm $ids >/dev/null 2>&1
    fi
    engine_halt 30 || engine_kill9
    for pid in $(engine_leftovers); do kill -KILL "$pid" 2>/dev/null; done
    while read -r mount; do umount -l "$mount" 2>/dev/null; done < <(
        awk -v d="$ENGINE_DIR/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r)
    return 0
}
