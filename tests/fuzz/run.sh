#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SECONDS TARGET...: each target under libFuzzer, one line for each. What it found worth
# keeping stays in BUILD/corpus/NAME, a crash in BUILD/crashes/NAME-*.
set -eu
build=$1 seconds=$2
shift 2
mkdir -p "$build/crashes"
failed=""
for target in "$@"; do
    mkdir -p "$build/corpus/$target"
    log=$build/$target.log
    ok=ok
    LSAN_OPTIONS=suppressions=tests/lib/lsan.supp:print_suppressions=0 \
        "$build/fuzz/$target" -max_total_time="$seconds" -max_len="${MAX_LEN:-4096}" -timeout=20 \
        -rss_limit_mb=3000 -print_final_stats=1 -artifact_prefix="$build/crashes/$target-" \
        ${SEED:+-seed="$SEED"} "$build/corpus/$target" "tests/fuzz/corpus/$target" \
        >"$log" 2>&1 </dev/null || ok=FAIL
    n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$ok fuzz/$target: ${n:-0} executions in $seconds s, $(find "$build/corpus/$target" -type f | wc -l) inputs"
    [ $ok = ok ] || { failed="$failed $target"; grep -E -A12 'FATAL|ERROR|runtime error' "$log" | head -20; }
done
[ -z "$failed" ] || { echo "failed:$failed (logs and inputs are in $build)"; exit 1; }
