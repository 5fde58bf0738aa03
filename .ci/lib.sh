# Shared by the stages: run from the repository's root, and end with one line of JSON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
started=$SECONDS
figures_file=$PWD/.ci/figures.jsonl

# Stages that run side by side may both have something to install.
apt-get() { flock "${TMPDIR:-/tmp}/apt-get.lock" apt-get "$@"; }

# install_servers: redis-server and postgres, from Debian's packages, where they are missing.
install_servers() {
  { command -v redis-server && ls /usr/lib/postgresql/*/bin/postgres; } >/dev/null 2>&1 ||
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy redis-server postgresql; } >/dev/null
}

# with_redis COMMAND …: runs the command with the address of a server of its own as the last argument.
# with_postgres COMMAND …: likewise. The server is in a temporary folder, on a free port, and ended by its id.
with_redis() { (with_server start_redis "$@"); }
with_postgres() { (with_server start_postgres "$@"); }

# In a subshell, whose end is the server's. Leaves the address in `address`, the server's id in `server`.
with_server() {
  local start=$1
  shift
  # Not local: the trap comes after the function.
  server="" address="" folder=$(mktemp -d)
  trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$start"
  "$@" "$address"
}

start_redis() {
  address=redis://127.0.0.1:$port/
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly yes --appendfsync always --dir "$folder" >/dev/null &
  server=$!
  await redis-cli -p "$port" ping
}

start_postgres() {
  local programs as=()
  programs=$(find /usr/lib/postgresql/*/bin -name postgres -printf '%h\n' | sort -V | tail -n 1)
  # It refuses to run as root.
  if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; as=(setpriv --reuid postgres --regid postgres --clear-groups); fi
  address=postgres://postgres@127.0.0.1:$port/postgres
  (cd "$folder" && "${as[@]}" "$programs/initdb" -D data -U postgres --auth=trust --no-sync --no-instructions >/dev/null)
  (cd "$folder" && exec "${as[@]}" "$programs/postgres" -D data -k "$folder" -h 127.0.0.1 -p "$port" -c fsync=off >log 2>&1) &
  server=$!
  await "$programs/psql" -c 'SELECT 1' "$address"
}

# await COMMAND …: until it succeeds, for 20 seconds at most.
await() {
  for _ in {1..200}; do ! "$@" >/dev/null 2>&1 || return 0; sleep 0.1; done
  echo "not within 20 seconds: $*" >&2
  return 1
}

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
  key="[{]\"stage\":\"$stage\","
  [ "$FULL" = 0 ] || { figures=',"full":true'; key+='"full":true,'; }
  for pair in "$@"; do figures+=",\"${pair%%=*}\":${pair#*=}"; done
  line=$(printf '{"stage":"%s"%s,"seconds":%d}' "$stage" "$figures" "$((SECONDS - started))")
  if [ "${UPDATE_FIGURES:-0}" = 1 ]; then
    (
      flock 9
      # The line of the other form stays.
      { grep -vE "^$key(\"[^f]|\"f[^u])" "$figures_file" || true; echo "$line"; } | LC_ALL=C sort >"$figures_file.new"
      mv "$figures_file.new" "$figures_file"
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
