#!/bin/sh
# Runs every fuzz target for SECONDS_EACH seconds (60 unless set), with AddressSanitizer, on the stable compiler, from the
# seeds that the tests know. A target that crashes leaves its input in tests/fuzz/artifacts and ends the run.
set -eu
cd "$(dirname "$0")/../tests"
seconds=${SECONDS_EACH:-60}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo 'fuzz: cargo-fuzz is not installed: cargo install --locked cargo-fuzz' >&2
    exit 1
fi
echo '== seeds'
cargo test --quiet --package tests --test e2e fuzz_seeds
# The sanitizer's flags are not stable yet; the compiler takes them when it is told to.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list); do
    echo "== $target, $seconds s"
    seeds=../target/fuzz-seeds/$target
    mkdir -p "fuzz/corpus/$target" "$seeds"
    cargo fuzz run "$target" "fuzz/corpus/$target" "$seeds" -- \
        -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048
done
