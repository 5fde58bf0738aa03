# Shared by the stages: run from the repository's root, and end with one line of JSON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
started=$SECONDS

# Stages that run side by side may both have something to install.
apt-get() { flock "${TMPDIR:-/tmp}/apt-get.lock" apt-get "$@"; }

# features: each feature, one a line, but for one that only passes a feature of `jsonwebtoken` on, which compiles
# a C library for minutes and changes no line here; `.ci/deny` looks at what it brings.
features() { sed -n '/^\[features\]/,/^\[/p' Cargo.toml | grep -oE '^[a-z0-9-]+ =' | tr -d ' =' | grep -v '^jwt-aws-lc$'; }

# With FULL=1 a stage does all that it can; without, those that take long take a sample. `.ci/nightly` sets it.
FULL=${FULL:-0}

# sampled INDEX OF: whether the item with this index is taken. One in OF is, and each commit takes others, so
# that nothing is left out for good.
sampled() {
  [ "$FULL" = 0 ] || return 0
  local commit
  commit=$(git rev-parse --short=4 HEAD 2>/dev/null || echo 0)
  [ $((($1 + 16#${commit:0:4}) % $2)) -eq 0 ]
}

# finish STAGE 'key=value' …: prints the stage's figures as one line of JSON. With UPDATE_FIGURES=1 it
# replaces the stage's line in .ci/figures.jsonl, from which the pages of the documentation take theirs.
finish() {
  local stage=$1 figures="" line key
  shift
  key="{\"stage\":\"$stage\","
  [ "$FULL" = 0 ] || { figures=',"full":true'; key+='"full":true,'; }
  for pair in "$@"; do figures+=",\"${pair%%=*}\":${pair#*=}"; done
  line=$(printf '{"stage":"%s"%s,"seconds":%d}' "$stage" "$figures" "$((SECONDS - started))")
  if [ "${UPDATE_FIGURES:-0}" = 1 ]; then
    (
      flock 9
      # The line of the other form stays.
      { grep -vE "^$key(\"[^f]|\"f[^u])" .ci/figures.jsonl || true; echo "$line"; } | LC_ALL=C sort >.ci/figures.new
      mv .ci/figures.new .ci/figures.jsonl
    ) 9>"${TMPDIR:-/tmp}/figures.lock"
  fi
  echo "$line"
}

# models PATCH: the models of the machine that it breaks, by its rule, or as it says itself, and how deep
# they go; all for one that breaks nothing.
models() {
  local said
  said=$(awk -F': ' '/^stateright:/ {print $2}' "$1")
  if [ -n "$said" ]; then echo "$said"; return; fi
  case $(awk '/^rule:/ {print $2}' "$1") in
    D*) echo --depth 8 rotation system ;;
    none) ;;
    *) echo --depth 8 alone adversary three-callers ;;
  esac
}
