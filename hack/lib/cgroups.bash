# A part of every cgroup hierarchy for one run of a script in hack/, which sees nothing else of them. Sourced, not run.
# shellcheck shell=bash

shopt -s extglob

# Makes the cgroup of this name and puts this process into it. What is started with `unshare --cgroup` next takes it for
# the root of the hierarchies, once it has called narrow_cgroups.
enter_cgroup() {
  local hierarchy
  for hierarchy in $(cgroup_hierarchies); do
    pass_controllers "$hierarchy" "$1" || return
    mkdir "$hierarchy/$1" "$hierarchy/$1/runner" || return
    inherit_cpuset "$hierarchy" "$hierarchy/$1" "$hierarchy/$1/runner" || return
    echo 0 >"$hierarchy/$1/cgroup.procs" || return
  done
}

# Shows this mount namespace that part alone, and leaves the part's own root for a leaf of it: on v2 a cgroup that hands
# controllers on holds no process (cgroups(7), "no internal processes").
narrow_cgroups() {
  local hierarchy
  for hierarchy in $(cgroup_hierarchies); do
    mount --bind "$hierarchy/$1" "$hierarchy" && echo 0 >"$hierarchy/runner/cgroup.procs" || return
  done
}

# Removes the cgroup with all below it, once its last process has gone. A cgroup that has one is never removed: the
# kernel refuses. Names what can't be removed, and fails.
remove_cgroup() {
  local hierarchy tries
  for hierarchy in $(cgroup_hierarchies); do
    for ((tries = 0; tries < 100; tries++)); do
      [[ -d $hierarchy/$1 ]] || break
      find "$hierarchy/$1" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
    done
    [[ ! -d $hierarchy/$1 ]] || printf 'the cgroup %s is still in use\n' "$hierarchy/$1" >&2
    take_controllers_back "$hierarchy" "$1"
  done
}

# Removes what a script has left that was killed: cgroups named after a process that is no more.
remove_stale_cgroups() {
  local hierarchy folder
  for hierarchy in $(cgroup_hierarchies); do
    for folder in "$hierarchy/$1"-+([0-9]); do
      [[ ! -d $folder || -d /proc/${folder##*-} ]] || remove_cgroup "${folder##*/}"
    done
  done
}

# Where v1 controllers and v2 are mounted, whichever of them there are.
cgroup_hierarchies() {
  findmnt --raw --noheadings --types cgroup,cgroup2 --output TARGET | grep '^/sys/fs/cgroup' | sort -u
}

# On v2 a child has the controllers that its parent hands on. What we hand on in addition is taken back at the end.
pass_controllers() {
  [[ -f $1/cgroup.subtree_control && -f $1/cgroup.controllers ]] || return 0
  local controller passed=" $(<"$1/cgroup.subtree_control") "
  for controller in $(<"$1/cgroup.controllers"); do
    [[ $passed != *" $controller "* ]] || continue
    if echo "+$controller" 2>/dev/null >"$1/cgroup.subtree_control"; then
      echo "$controller" >>"${TMPDIR:-/tmp}/$2.controllers"
    fi
  done
}

take_controllers_back() {
  local list=${TMPDIR:-/tmp}/$2.controllers controller
  [[ -f $list && -f $1/cgroup.subtree_control ]] || return 0
  while read -r controller; do
    echo "-$controller" 2>/dev/null >"$1/cgroup.subtree_control" || true
  done <"$list"
  rm -f "$list"
}

# On v1 a new cpuset is empty, and takes no process.
inherit_cpuset() {
  local parent=$1 file
  [[ -f $parent/cpuset.cpus && ! -f $parent/cgroup.controllers ]] || return 0
  shift
  for file in cpuset.cpus cpuset.mems; do
    cat "$parent/$file" >"$1/$file" && cat "$parent/$file" >"$2/$file" || return
  done
}
