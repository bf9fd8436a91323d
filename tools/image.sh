#!/bin/sh
# Builds the container image and proves it: its size, `serve` on a read-only file system with a model, `train` with
# XGBoost's library mounted. Without a registry the base is made by debootstrap from this machine's own Debian.
#
#   BASE=debian:bookworm-slim tools/image.sh    uses a base that podman has, or can pull
set -eu
cd "$(dirname "$0")/.."

# Reason: what the image promises, without the optional native libraries.
SIZE_MAX_MB=60
IMAGE=localhost/clary:latest
cache=${CLARY_NATIVE:-$HOME/.cache/clary}
scratch=$(mktemp -d)
container=
cleanup() {
    [ -z "$container" ] || podman rm --force --time 1 "$container" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap cleanup EXIT

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
fail() { echo "image: $*" >&2; exit 1; }

# runc and plain files work also where there is neither systemd nor a cgroup of one's own.
cat > "$scratch/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
export CONTAINERS_CONF="$scratch/containers.conf"

# Sets base, an image of this machine's Debian, made once.
local_base() {
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    base=localhost/debian:$codename-local
    podman image exists "$base" && return 0
    say "making $base with debootstrap"
    debootstrap --variant=minbase --include=ca-certificates "$codename" "$scratch/root" > "$scratch/debootstrap.log" 2>&1 ||
        { tail -n 20 "$scratch/debootstrap.log" >&2; fail "debootstrap failed"; }
    tar -C "$scratch/root" -cf "$scratch/root.tar" .
    podman import "$scratch/root.tar" "$base" >/dev/null
    rm -rf "$scratch/root" "$scratch/root.tar"
}

build() {
    say "building the programs"
    cargo build --release --package server --package trainer
    if [ -n "${BASE:-}" ]; then base=$BASE; pull=missing; else local_base; pull=never; fi
    say "building $IMAGE from $base"
    podman build --pull="$pull" --format docker --build-arg "BASE=$base" --tag "$IMAGE" .
}

check_size() {
    bytes=$(podman image inspect --format '{{.Size}}' "$IMAGE")
    say "$IMAGE: $((bytes / 1000000)) MB"
    [ "$bytes" -lt $((SIZE_MAX_MB * 1000000)) ] || fail "expected less than $SIZE_MAX_MB MB, found $bytes bytes"
}

# Trains in the container as the platform does, with XGBoost's library mounted.
check_train() {
    mkdir -p "$scratch/ml/input/config" "$scratch/ml/input/data/train"
    echo '{"num_round": "10", "objective": "binary:logistic"}' > "$scratch/ml/input/config/hyperparameters.json"
    echo '{"train": {"ContentType": "text/csv"}}' > "$scratch/ml/input/config/inputdataconfig.json"
    printf '1,0.9,0.8\n0,0.1,0.2\n1,0.7,0.9\n0,0.2,0.1\n1,0.8,0.6\n0,0.3,0.3\n1,0.9,0.9\n0,0.1,0.4\n' \
        > "$scratch/ml/input/data/train/a.csv"
    say "docker run IMAGE train"
    podman run --rm --read-only --network none --volume "$scratch/ml:/opt/ml" \
        --volume "$cache/xgboost:/opt/clary/native/xgboost:ro" "$IMAGE" train
    [ -s "$scratch/ml/model/xgboost-model" ] || fail "train wrote no model"
}

# Serves what was trained: nothing writable but /tmp, no capabilities, 128 MB.
check_serve() {
    say "docker run IMAGE serve"
    container=$(podman run --detach --read-only --cap-drop all --memory 128m --publish 127.0.0.1::8080 \
        --volume "$scratch/ml/model:/opt/ml/model:ro" "$IMAGE" serve)
    address=$(podman port "$container" 8080/tcp)
    tries=0
    until curl --silent --fail --output /dev/null "http://$address/ping"; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || { podman logs "$container" >&2; fail "/ping is not 200 after 10 s"; }
        sleep 0.2
    done
    echo "/ping: 200"
    score=$(printf '0.9,0.9\n' | curl --silent --fail --header 'Content-Type: text/csv' --data-binary @- \
        "http://$address/invocations") || fail "/invocations failed"
    echo "/invocations: $score"
    podman stop --time 30 "$container" >/dev/null
    code=$(podman inspect --format '{{.State.ExitCode}}' "$container")
    [ "$code" = 0 ] || fail "SIGTERM: expected exit code 0, found $code"
    echo "SIGTERM: exit code 0"
}

build
check_size
check_train
check_serve
say "the image is sound"
