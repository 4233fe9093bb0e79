#!/bin/bash
# with_engine.sh COMMAND...: run a command beside a Docker Engine of its own (test_engine.c says what it finds).
# Needs root.  Everything is in one temporary directory, which is gone afterwards.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
dir=$(mktemp -d /tmp/hafstack-unit.XXXXXX)
unset DOCKER_HOST

# shellcheck source=../lib/engine.sh
. "$here/../lib/engine.sh"
trap 'engine_stop >&2 || true; rm -rf "$dir"' EXIT

certificate() {                         # DIRECTORY NAME SUBJECT CA-DIRECTORY EXTENSIONS
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$3" -keyout "$1/$2-key.pem" -out "$1/$2.csr"
    openssl x509 -req -in "$1/$2.csr" -CA "$4/ca.pem" -CAkey "$4/ca-key.pem" -CAcreateserial -days 2 \
        -extfile <(printf '%s\n' "$5") -out "$1/$2-cert.pem"
}

authority() {                           # DIRECTORY
    mkdir -p "$1"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=authority" \
        -keyout "$1/ca-key.pem" -out "$1/ca.pem"
}

certificates() {
    authority "$dir/certs/good"
    authority "$dir/certs/bad"
    certificate "$dir/certs/good" server localhost "$dir/certs/good" 'subjectAltName=DNS:localhost'
    local name
    for name in good bad; do
        certificate "$dir/certs/$name" client client "$dir/certs/$name" 'extendedKeyUsage=clientAuth'
        cp "$dir/certs/$name/client-cert.pem" "$dir/certs/$name/cert.pem"
        cp "$dir/certs/$name/client-key.pem" "$dir/certs/$name/key.pem"
    done
    # one knows the server's CA, but has a certificate of the other; one has a good certificate, but knows the other CA
    mkdir "$dir/certs/stranger" "$dir/certs/doubter"
    cp "$dir/certs/bad/ca.pem" "$dir/certs/good/cert.pem" "$dir/certs/good/key.pem" "$dir/certs/doubter"
    cp "$dir/certs/good/ca.pem" "$dir/certs/bad/cert.pem" "$dir/certs/bad/key.pem" "$dir/certs/stranger"
}

# The harness starts whatever is called dockerd; this one listens with TLS besides.
tls_dockerd() {
    mkdir "$dir/bin"
    cat >"$dir/bin/dockerd" <<EOF
#!/bin/sh
exec $(command -v dockerd) "\$@" --host=tcp://127.0.0.1:$1 --tlsverify --tlscacert=$dir/certs/good/ca.pem \
    --tlscert=$dir/certs/good/server-cert.pem --tlskey=$dir/certs/good/server-key.pem
EOF
    chmod +x "$dir/bin/dockerd"
    PATH=$dir/bin:$PATH
}

image() {
    local root=$dir/root name
    mkdir -p "$root/bin" "$root/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for name in sh sleep echo printf seq true cat; do ln -s busybox "$root/bin/$name"; done
    # shellcheck disable=SC2016
    printf '%s\n' '#!/bin/sh' 'for last; do :; done' 'echo "asked $last" >&2' \
        'if [ -e /tmp/asked ]; then echo LIVE; else echo P2P; : >/tmp/asked; fi' >"$root/bin/psql"
    chmod +x "$root/bin/psql"
    tar -C "$root" -c . | engine_docker import --change 'ENV PATH=/bin' - unit:1 >/dev/null
}

certificates >"$dir/openssl.log" 2>&1
port=$((20000 + RANDOM % 10000))
tls_dockerd "$port"
engine_start "$dir/e"
image
engine_network unit >/dev/null
UNIT_ENGINE=$ENGINE_HOST UNIT_TLS=tcp://localhost:$port UNIT_CERTS=$dir/certs "$@"
