/**
 * The pages of docs/ that repeat what the code says: the settings and the command line. Run as a program, it writes
 * them; a test compares them with the files.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { catalog } from "../src/cli/catalog.ts";
import { helpOn, overview } from "../src/cli/help.ts";
import { defaultConfigFile, flagOf, settings } from "../src/config/index.ts";

const heading = "<!-- Written by hack/reference-pages.ts; change the code, then run it. -->";

/** The pages by their path below the project. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/config.md", configPage()],
    ["docs/cli.md", commandPage()],
  ]);
}

function configPage(): string {
  const sections = Object.values(settings).map((setting) => {
    const { fallback } = setting;
    const shown = typeof fallback === "number" ? String(fallback) : JSON.stringify(fallback);
    return [
      `## \`${setting.key}\``,
      "",
      setting.doc,
      "",
      `- Flag: \`${flagOf(setting)} ${setting.placeholder}\``,
      `- Default: \`${shown}\``,
      "",
    ].join("\n");
  });
  return [
    "# Configuration",
    "",
    heading,
    "",
    `berthd reads \`${defaultConfigFile}\` where it exists, or the file that \`--config\` names. A flag wins over the file, the`,
    'file over the default. Lists are written `A,B` in a flag and `["A", "B"]` in the file.',
    "",
    "```toml",
    'log_level = "debug"',
    "",
    "[cni]",
    'conf_dir = "/etc/cni/net.d"',
    "",
    "[images]",
    'pinned = ["registry.example.com/base/*"]',
    "```",
    "",
    "An unknown key is a warning with its line and the nearest known key, and never keeps the daemon from starting; a wrong",
    "value does, and is named with the file. `berthd --check-config` reads all of it, prints what is in force, and ends.",
    "`berth info` shows the configuration of the daemon that runs.",
    "",
    sections.join("\n"),
  ].join("\n");
}

function commandPage(): string {
  const commands = catalog.flatMap(({ commands: group }) =>
    group.map((command) =>
      [`## berth ${command.name}`, "", "```", helpOn(command).trimEnd(), "```", ""].join("\n"),
    ),
  );
  return [
    "# The `berth` command",
    "",
    heading,
    "",
    "`berth` talks to the daemon's socket, `/run/berth/berth.sock` unless `--socket` or `BERTH_SOCKET` names another.",
    "",
    "- `--json` prints one JSON document: messages of the contract (`api/`) with their fields' names, times in nanoseconds",
    '  since the epoch as text. `logs` prints a document a line. Errors are `{"error": {"code", "message"}}` on standard error.',
    "- Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. `exec`, and `run --follow`, end with the code of what",
    "  they ran.",
    "- A pod, a container or an image is named by its id, a unique beginning of it, or its name; `namespace/name` and",
    "  `pod/container` where a name alone is not unique.",
    "- Pods of `berth run` are in the namespace `berth-run`. No kubelet knows them: they stay until `berth rmp`, which also",
    "  removes their logs, kept in `logs/` below the daemon's root.",
    "",
    "```",
    overview().trimEnd(),
    "```",
    "",
    commands.join("\n"),
  ].join("\n");
}

if (import.meta.main) {
  for (const [path, text] of referencePages()) writeFileSync(join(import.meta.dirname, "..", path), text);
}
