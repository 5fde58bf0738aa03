# Shared by the address and the leak sanitizer: real sessions, threads and runtimes under them. The
# former's runtime brings the latter, so both have one build, which takes the longest of it all. The
# standard library is not instrumented, but its allocations are, which is what both go by.

# Those that drop what is in the air, callers who wait, sessions, stores and timers, on threads.
# Each is a test program, and those of its modules that are run, or none for all of it.
runs=(
  "stress"
  "keyed"
  "session async_callers:: blocking:: epochs:: flight:: local:: locks:: mixed:: read_path:: store:: store_shared:: tasks:: timers:: tokio_adapter::"
  "stores file::"
)

# sanitize NAME CONTROL REPORT: runs a control with a defect, which must be found, and the tests.
sanitize() {
  local name=$1 control=$2 report=$3 target=x86_64-unknown-linux-gnu folder log run words status=0
  cargo +nightly --version || { echo "SKIPPED would be a lie: $name needs a nightly toolchain" >&2; exit 1; }
  export RUSTFLAGS="-Zsanitizer=address --cfg sanitizer"
  folder=$(mktemp -d)
  # shellcheck disable=SC2086
  rustc +nightly $RUSTFLAGS --edition 2024 --target "$target" -o "$folder/control" ".ci/sanitizer-files/$control.rs"
  if "$folder/control" >"$folder/log" 2>&1; then echo "the control's defect was not found" >&2; exit 1; fi
  grep -q "$report" "$folder/log" || { cat "$folder/log" >&2; exit 1; }
  log=$(mktemp)
  for run in "${runs[@]}"; do
    read -ra words <<<"$run"
    STRESS_ROUNDS=20 cargo +nightly test --target "$target" --target-dir target/asan --no-fail-fast \
      --test "${words[0]}" -- --test-threads 2 "${words[@]:1}" >>"$log" 2>&1 || status=$?
  done
  local findings ran binaries
  findings=$(grep -cE 'ERROR: (Address|Leak)Sanitizer' "$log" || true)
  ran=$({ grep -E '^test result:' "$log" || true; } | grep -oE '[0-9]+ passed' | awk '{n += $1} END {print n + 0}')
  binaries=$(grep -cE '^test result: ok' "$log" || true)
  if [ "$status" -ne 0 ] || [ "$findings" -ne 0 ]; then
    grep -A 40 -E 'ERROR: (Address|Leak)Sanitizer' "$log" | head -150 || true
    tail -40 "$log"
  fi
  [ "$binaries" -eq "${#runs[@]}" ] || { echo "$binaries of ${#runs[@]} test programs ran to their end" >&2; status=1; }
  finish "$name" tests="$ran" findings="$findings" control=1
  [ "$ran" -gt 0 ] && [ "$status" -eq 0 ] && [ "$findings" -eq 0 ]
}
