import type { OptionSpecs } from "./arguments.ts";

/** Options of commands that make an image. */
export const newImageOptions = {
  author: { kind: "text", short: "a", placeholder: "TEXT", doc: "Who made the image." },
  message: { kind: "text", short: "m", placeholder: "TEXT", doc: "What to say of it in its history." },
  change: {
    kind: "list",
    short: "c",
    placeholder: "CHANGE",
    doc:
      "Change the image's configuration, in a Dockerfile's words: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, " +
      "USER, VOLUME or WORKDIR.",
  },
} as const satisfies OptionSpecs;
