# Packages of any Debian suite, read through an apt with folders of its own, so that nothing is installed and the
# machine's apt never hears of it. Sourced, not run.
# shellcheck shell=bash

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Prints the archive that this machine's own sources name, never one that is written here; nothing where there is none.
# apt knows an archive's label from its lists, which a bare machine may have to fetch first.
debian_mirror() {
  local mirror
  mirror=$(labelled_mirror)
  if [[ -z $mirror ]]; then
    apt-get update >/dev/null 2>&1 || true
    mirror=$(labelled_mirror)
  fi
  printf '%s\n' "$mirror"
}

labelled_mirror() {
  # shellcheck disable=SC2016 # apt fills these in, not the shell
  apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F'|' '$1 == "Debian" { print $2; exit }'
}

# How this machine reaches its archive (proxies, retries, dates), for an apt that does not read its configuration.
acquire_options() {
  apt-config dump | grep -E '^Acquire::(https?::[^ ]*|Retries|Check-Valid-Until|Check-Date) ' || true
}

# private_apt folder mirror suite: makes an apt in the folder that knows this one suite and believes that no package is
# installed; sets the array apt_options to what makes apt-get use it, and reads the suite's lists. Usable where set -e
# is off, hence the chain of &&.
private_apt() {
  local folder=$1 mirror=$2 suite=$3
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,state} &&
    : >"$folder/state/status" &&
    printf 'deb [signed-by=%s] %s %s main\n' "$debian_keyring" "$mirror" "$suite" >"$folder/sources.list" || return 1
  apt_options=(
    -o "Dir::State=$folder/state" -o "Dir::State::status=$folder/state/status" -o "Dir::State::lists=$folder/lists"
    -o "Dir::Cache=$folder/cache" -o "Dir::Cache::archives=$folder/cache/archives"
    -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success= -o APT::Sandbox::User=root
    -o Acquire::Languages=none
  )
  apt-get -q "${apt_options[@]}" -o APT::Update::Error-Mode=any update
}
