# Short steps with their times, for the scripts in hack/. Sourced, not run.
# shellcheck shell=bash

# Takes a title and a command; its output is shown only where it fails. Answers with the command's status.
step() {
  local title=$1 log status=0 started=${EPOCHREALTIME/[.,]/}
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status == 0)); then
    printf '  %-46s %s\n' "$title" "$(elapsed "$started")"
  else
    printf '  %-46s failed\n' "$title" >&2
    sed 's/^/    /' "$log" | tail -n 40 >&2
  fi
  rm -f "$log"
  return "$status"
}

# The time since a reading of EPOCHREALTIME without its dot, in seconds.
elapsed() {
  local microseconds=$((${EPOCHREALTIME/[.,]/} - $1))
  printf '%d.%d s' $((microseconds / 1000000)) $((microseconds / 100000 % 10))
}

# Says what is wrong and what to do, and ends the script.
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}
