/** What `--help` prints. */
export function helpText(program: string): string {
  return `NAME:
   ${program} - runs containers by the OCI runtime spec

USAGE:
   ${program} [global options] command [options] [arguments...]

COMMANDS:
   create [--bundle --pid-file --console-socket --preserve-fds --no-pivot --no-new-keyring] ID
   start ID
   run [the options of create, --detach --keep] ID
   state ID
   kill [--all] ID [SIGNAL]
   delete [--force] ID
   exec [--process --detach --pid-file --console-socket --tty --cwd --env --user --additional-gids --cap
         --apparmor --process-label --no-new-privs --preserve-fds --ignore-paused] ID COMMAND [ARGS...]
   pause ID
   resume ID
   update [--resources FILE|-, --memory --cpu-quota --cpu-period --cpu-share --pids-limit ...] ID
   ps [--format table|json] ID [options of ps]
   events [--stats --interval 5s] ID
   list [--format table|json --quiet]
   spec [--bundle FOLDER]
   features

GLOBAL OPTIONS:
   --root FOLDER            where containers are recorded (/run/berth-oci)
   --log FILE               where errors and warnings go; standard error otherwise
   --log-format text|json   how they are written
   --debug                  say more
   --version, --help
`;
}
