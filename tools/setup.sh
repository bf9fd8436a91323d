#!/bin/sh
# Brings a fresh Debian (or a relative) to where `make` can build, test and show everything. Each step is skipped when
# its stamp is there, so it costs nothing the second time.
#
#   tools/setup.sh system    a C compiler, where there is none
#   tools/setup.sh python    .venv with tests/sdk/requirements.txt; .venv-v3 and .venv-2023 with what differs there
#   tools/setup.sh native    XGBoost's library under ${CLARY_NATIVE:-~/.cache/clary}/xgboost
#   tools/setup.sh image     podman, runc and debootstrap, for `make image`
set -eu
cd "$(dirname "$0")/.."

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# Runs a command as root, when that can be had.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "root is needed to run: $*"
    fi
}

# Installs those of the Debian packages "$@" that are missing.
debian() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "not a Debian: install the likes of$missing yourself"
    say "installing$missing"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

system() {
    command -v cargo >/dev/null || fail "cargo is not on the PATH: install Rust (https://rustup.rs)"
    command -v python3 >/dev/null || fail "python3 is not on the PATH"
    # aws-lc and mimalloc are C; nothing else is compiled but Rust.
    if ! command -v cc >/dev/null; then debian gcc libc6-dev; fi
    if ! command -v make >/dev/null; then debian make; fi
}

venv_module() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then debian python3-venv; fi
}

python() {
    stamp=.venv/stamp
    wanted=$(sha256sum tests/sdk/requirements.txt | cut -d' ' -f1)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
    say "setting up .venv (once; about two minutes)"
    venv_module
    python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/sdk/requirements.txt
    echo "$wanted" > "$stamp"
}

# A virtual environment with other versions in front of those of .venv.
variant() {
    folder=.venv-$1
    requirements=tests/sdk/requirements-$1.txt
    wanted=$(cat tests/sdk/requirements.txt "$requirements" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$folder/stamp" 2>/dev/null)" = "$wanted" ] && return 0
    say "setting up $folder"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"
    # Behind its own packages, those of .venv.
    purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
    .venv/bin/python -c "$purelib" > "$("$folder/bin/python" -c "$purelib")/shared.pth"
    echo "$wanted" > "$folder/stamp"
}

# The library alone, out of the wheel that PyPI has of it; the wheel is for any Python, so the local one does not matter.
native() {
    version=3.4.1
    case $(uname -m) in
        x86_64) platform=manylinux_2_28_x86_64; digest=1f16331f5c6beb2b40fbd4bf2834333062d93c9eb38b76186a5c206841dc1809 ;;
        *) fail "no pinned XGBoost wheel for $(uname -m): set CLARY_XGBOOST_LIB to a libxgboost.so" ;;
    esac
    folder=${CLARY_NATIVE:-$HOME/.cache/clary}/xgboost
    [ "$(cat "$folder/stamp" 2>/dev/null)" = "$digest" ] && return 0
    say "getting XGBoost $version into $folder"
    venv_module
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    # A pip of its own: Debian's python3 has none, and .venv is not needed for this.
    python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.13 --platform "$platform" --dest "$scratch" "xgboost-cpu==$version"
    wheel=$(echo "$scratch"/*.whl)
    echo "$digest  $wheel" | sha256sum --check --quiet || fail "$wheel is not the wheel that is pinned"
    # The folder layout stays: the library finds its OpenMP runtime by a relative path.
    python3 - "$wheel" "$scratch/out" <<'PYTHON'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if name.startswith(("xgboost/lib/", "xgboost_cpu.libs/")) and not name.endswith("/"):
            wheel.extract(name, sys.argv[2])
PYTHON
    rm -rf "$folder"
    mkdir -p "$(dirname "$folder")"
    mv "$scratch/out" "$folder"
    echo "$digest" > "$folder/stamp"
}

image() {
    debian podman runc debootstrap curl
}

[ $# -gt 0 ] || set -- system python native
for step in "$@"; do
    case $step in
        python) python; variant v3; variant 2023 ;;
        system | native | image) "$step" ;;
        *) fail "unknown step $step: expected system, python, native or image" ;;
    esac
done
