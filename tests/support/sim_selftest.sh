#!/usr/bin/env bash
# Goal: the simulator does what tests/support/README.md says, seen from outside through raw sockets.
# Method: start it on free ports, play each script, compare answers and bill. Needs python3 and curl.
# usage: sim_selftest.sh SIM [LOAD]     LOAD: also run the load generator for a moment
set -euo pipefail
sim=$1
load=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null

# start NAME ARGS...: runs a simulator and waits for its one line.
start() {
    local name=$1
    shift
    "$sim" --listen 127.0.0.1:0 "$@" >"$work/$name" &
    pids+=($!)
    until [ -s "$work/$name" ]; do sleep 0.02; done
}
start stop --tls "$work/cert.pem" "$work/key.pem" --tls-listen 127.0.0.1:0 --bill "$work/bill"
start finish --on-leave finish
start fast --fast
read -r _ _ plain _ tls <"$work/stop"
read -r _ _ finish <"$work/finish"
read -r _ _ fast <"$work/fast"

python3 "$here/sim_selftest.py" "$plain" "$finish" "$work/bill"
curl -skf -H 'Authorization: Bearer k' -d '{"model":"m","stream":true}' \
    "https://$tls/v1/chat/completions" | grep -q '^data: \[DONE\]'
curl -skf -H 'Authorization: Bearer k' -H 'x-sim: split=5;big=20000' -d '{"model":"m","stream":true}' \
    "https://$tls/v1/chat/completions" | grep -q '^data: \[DONE\]'
! curl -skf -H 'Authorization: Bearer k' -H 'x-sim: cut=500' -d '{"model":"m"}' \
    "https://$tls/v1/chat/completions" >"$work/cut"
[ "$(wc -c <"$work/cut")" -eq 500 ]
curl -sf -H 'Expect: 100-continue' -H 'Authorization: Bearer k' -H 'x-sim: encoding=gzip' \
    --compressed -d '{"model":"m"}' "http://$plain/v1/chat/completions" | grep -q chatcmpl-sim
curl -sf -d '{"model":"m","stream":true}' "http://$fast/v1/chat/completions" | grep -c '^data: ' |
    grep -qx 50
if [ -n "$load" ]; then
    "$load" --url "http://$fast/v1/chat/completions" --key a,b --connections 8 --requests 2000 |
        grep -q '"requests":2000,"errors":0'
    "$load" --url "http://$plain/v1/chat/completions" --key a --connections 8 --requests 200 \
        --stream | grep -q '"requests":200,"errors":0'
fi
echo "sim_selftest: all passed"
