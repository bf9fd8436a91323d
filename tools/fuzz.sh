#!/bin/sh
# Runs every fuzz target for SECONDS_EACH seconds (60 unless set), with AddressSanitizer, on the stable compiler. A target
# that crashes leaves its input in tests/fuzz/artifacts and ends the run.
set -eu
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo 'fuzz: cargo-fuzz is not installed: cargo install --locked cargo-fuzz' >&2
    exit 1
fi
# libFuzzer's flags are not stable yet; the compiler takes them when it is told to.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list --fuzz-dir tests/fuzz); do
    echo "== $target, $seconds s"
    cargo fuzz run --fuzz-dir tests/fuzz "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048 -print_final_stats=0
done
