#!/usr/bin/env bash
# Counts the lines that differ between a program written for tonic, in this folder, and the same program here, in
# examples/. Fails if there are more than the guide promises.
#
# Both are formatted first; comments, blank lines, imports (`use`) and indentation do not count. Of what is left, a line
# that was added or removed counts once, and so does one that was changed. With -v the differences are shown.
set -euo pipefail
cd "$(dirname "$0")/../.."
verbose=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What counts of a file: formatted, without comments, blank lines and imports.
essence() {
    rustfmt --edition 2024 --quiet <"$1" |
        awk '
            /^ *\/\// || /^ *$/ { next }
            /^(pub )?use / || inside { inside = !/;$/; next }
            { print }
        '
}

# Lines that differ: of each group of differences the longer side.
differing() {
    awk '
        function flush() { total += removed > added ? removed : added; removed = added = 0 }
        /^[0-9]/ { flush() }
        /^</ { removed++ }
        /^>/ { added++ }
        END { flush(); print total + 0 }
    '
}

compare() {
    local program=$1 limit=$2 total=0 both=0
    for tonic in docs/from-tonic/"$program"/*.rs; do
        local ours=examples/$program/${tonic##*/}
        essence "$tonic" >"$work/tonic"
        essence "$ours" >"$work/ours"
        [ -s "$work/tonic" ] && [ -s "$work/ours" ]
        diff -w "$work/tonic" "$work/ours" >"$work/diff" || true
        local lines touched
        lines=$(differing <"$work/diff")
        touched=$(grep -c '^[<>]' "$work/diff" || true)
        printf '  %-28s %3s\n' "$program/${tonic##*/}" "$lines"
        [ "$verbose" != -v ] || cat "$work/diff"
        total=$((total + lines))
        both=$((both + touched))
    done
    printf '%s: %s lines differ, at most %s may (%s when a changed line counts on both sides)\n' \
        "$program" "$total" "$limit" "$both"
    [ "$total" -le "$limit" ]
}

compare helloworld 10
compare routeguide 25
