#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given, one after another.
set -euo pipefail
time=${1:-60s}
while IFS=: read -r file name; do
  pkg=./$(dirname "$file")
  echo "== $pkg $name"
  # New inputs are shortened for a second only; the default of a minute would be all of the time.
  go test "$pkg" -run '^$' -fuzz "^${name}\$" -fuzztime "$time" -fuzzminimizetime 1s </dev/null
done < <(git grep -oE 'func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed 's/func //')
