# Shared by the stages: run from the repository's root, and end with one line of JSON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
started=$SECONDS

# Stages that run side by side may both have something to install.
apt-get() { flock "${TMPDIR:-/tmp}/apt-get.lock" apt-get "$@"; }

# features: each feature, one a line, but for one that only passes a feature of `jsonwebtoken` on, which compiles
# a C library for minutes and changes no line here; `.ci/deny` looks at what it brings.
features() { sed -n '/^\[features\]/,/^\[/p' Cargo.toml | grep -oE '^[a-z0-9-]+ =' | tr -d ' =' | grep -v '^jwt-aws-lc$'; }

# finish STAGE 'key=value' …: prints the stage's figures as one line of JSON.
finish() {
  local stage=$1 figures=""
  shift
  for pair in "$@"; do figures+=",\"${pair%%=*}\":${pair#*=}"; done
  printf '{"stage":"%s"%s,"seconds":%d}\n' "$stage" "$figures" "$((SECONDS - started))"
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
