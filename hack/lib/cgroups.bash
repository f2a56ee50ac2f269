# Removal of cgroups, for the scripts in hack/. Sourced, not run.
# shellcheck shell=bash

# Removes the cgroup of this name below the root of every hierarchy, with all below it, and the empty leaves that
# shims have left in berth-shims. A cgroup that has a process is never removed: the kernel refuses.
remove_cgroups() {
  local name=$1 hierarchy tries left
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    hierarchy=${hierarchy%/}
    for ((tries = 0; tries < 50; tries++)); do
      # The kernel needs a moment until the last process of a cgroup has left it.
      left=$(remove_tree "$hierarchy/$name")
      [[ -n $left ]] || break
      sleep 0.02
    done
    [[ ! -d $hierarchy/berth-shims ]] || remove_tree "$hierarchy/berth-shims" >/dev/null
  done
}

# Prints what is left.
remove_tree() {
  [[ -d $1 ]] || return 0
  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
  [[ ! -d $1 ]] || printf '%s' "$1"
}
