import { parseReference, registryOfQuery } from "../../images/client.ts";
import { defineCommand } from "../command.ts";
import { print, printList } from "../print.ts";
import { authOptions, readAuth } from "../registry-auth.ts";

/** Entries that are shown where nobody says how many. */
const defaultLimit = 100;

export const search = defineCommand({
  name: "search",
  usage: "HOST[/PREFIX] | HOST/REPOSITORY --tags",
  summary: "List the repositories of a registry, or the tags of one.",
  details: [
    "Repositories are those of the registry's catalog that begin with PREFIX, or where it has none, as Docker Hub, " +
      "what Docker's search finds for PREFIX. Without a host it is Docker Hub. Mirrors are not asked.",
  ],
  options: {
    tags: { kind: "flag", short: "t", doc: "List the tags of a repository." },
    limit: {
      kind: "whole",
      short: "n",
      placeholder: "N",
      least: 1,
      doc: `At most so many. [${defaultLimit}]`,
    },
    ...authOptions,
  },
  words: { least: 1, most: 1 },
  run: async (context, options, [query = ""]) => {
    const { tags, limit = defaultLimit } = options;
    const registryOf = (): string => (tags ? parseReference(query).registry : registryOfQuery(query));
    const auth = await readAuth(options, registryOf, context.terminal.stdin);
    const found = await context.client.admin.SearchRegistry(
      { query, tags, limit, auth },
      { signal: context.signal },
    );
    if (context.format === "json") print(context, found, () => "");
    else if (found.entries.some(({ description, stars }) => description !== "" || stars > 0)) {
      printList(context, found.entries, ["NAME", "STARS", "OFFICIAL", "DESCRIPTION"], (entry) => [
        entry.name,
        String(entry.stars),
        entry.official ? "yes" : " ",
        entry.description,
      ]);
    } else {
      printList(context, found.entries, [tags ? "TAG" : "NAME"], ({ name }) => [name]);
    }
    if (found.more) context.terminal.stderr.write(`berth: there are more than ${limit}; see --limit\n`);
    return 0;
  },
});
