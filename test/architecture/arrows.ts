/** What a folder may use. */
export interface Arrows {
  /** Other folders. */
  readonly folders: readonly string[];
  /** Other folders whose types alone may be used. */
  readonly types?: readonly string[];
  /** npm packages. */
  readonly packages?: readonly string[];
  /** Node's modules; absent is any. */
  readonly builtins?: readonly string[];
  /** Files that other folders may import; absent is `index.ts`. */
  readonly doors?: readonly string[];
}

/**
 * The folders of src and their arrows, from the leaves up. The longest name that fits a file is its folder, so that a
 * folder within a folder is one of its own. docs: the layout in CONTRIBUTING.md.
 */
export const arrows: Readonly<Record<string, Arrows>> = {
  "src/core": { folders: [], builtins: ["node:crypto", "node:fs", "node:path"], doors: ["*"] },
  "src/config": { folders: ["src/core"], packages: ["smol-toml"] },
  "src/sys": { folders: ["src/core"], packages: ["ffi-rs"] },
  // Pure: paths are computed with, nothing is read.
  "src/oci": { folders: ["src/core"], builtins: ["node:path"] },
  // Devices by spec files; what they change of a container is pure.
  "src/cdi": { folders: ["src/core"], packages: ["yaml"] },
  // Hooks that the operator's files give to containers.
  "src/hooks": { folders: ["src/core"] },
  "src/host": { folders: ["src/core", "src/oci", "src/shim/client", "src/sys"] },
  "src/store": { folders: ["src/core"], packages: ["level"] },
  "src/images": {
    folders: ["src/core", "src/sys", "src/store"],
    packages: ["smol-toml", "undici"],
    // The command line reads names and Docker's config.json as the caller: the store with it would slow its start.
    doors: ["index.ts", "client.ts"],
  },
  "src/cni": {
    folders: ["src/core", "src/sys", "src/store"],
    // The command line takes the plugins alone.
    doors: ["index.ts", "program.ts"],
  },
  "src/shim/protocol": { folders: [], types: ["src/core"], doors: ["*"] },
  "src/shim/client": { folders: ["src/core", "src/shim/protocol"] },
  // The Lua programs: nothing of Node or npm exists there, and of core only types cost nothing.
  "src/shim/program": {
    folders: ["src/shim/protocol"],
    types: ["src/core"],
    packages: ["ffi", "bit"],
    builtins: [],
    // The OCI runtime command is made of the same parts.
    doors: ["*"],
  },
  "src/shim/oci": {
    folders: ["src/core", "src/shim/program", "src/shim/protocol"],
    packages: ["ffi"],
    builtins: [],
    doors: [],
  },
  "src/images/unpacker": { folders: [], packages: ["ffi", "bit"], builtins: [], doors: [] },
  "src/sandbox": {
    folders: [
      "src/core",
      "src/oci",
      "src/cdi",
      "src/hooks",
      "src/store",
      "src/images",
      "src/cni",
      "src/sys",
      "src/shim/client",
      "src/shim/protocol",
    ],
  },
  // Generated from api/*.proto.
  "src/cri/types": { folders: [], packages: ["@grpc/grpc-js", "@grpc/proto-loader"], doors: ["*"] },
  "src/cri": {
    folders: ["src/core", "src/sandbox", "src/images", "src/oci", "src/cri/types"],
    types: ["src/store"],
    packages: ["@grpc/grpc-js", "@grpc/proto-loader", "ws"],
    // The command line takes the client alone: loading the server with it would double its start.
    doors: ["index.ts", "client.ts"],
  },
  "src/cli": {
    folders: ["src/core", "src/config", "src/cni", "src/cri", "src/cri/types", "src/images"],
    packages: ["@grpc/grpc-js", "@grpc/proto-loader"],
    doors: [],
  },
  // main.ts, daemon.ts, logging.ts: the only files that know every folder.
  src: {
    folders: [
      "src/core",
      "src/config",
      "src/sys",
      "src/host",
      "src/store",
      "src/images",
      "src/cni",
      "src/cdi",
      "src/hooks",
      "src/shim/client",
      "src/sandbox",
      "src/cri",
    ],
    packages: ["winston"],
    doors: [],
  },
};

/** Packages that one file alone may import. */
export const packageFiles: Readonly<Record<string, string>> = { winston: "src/logging.ts" };

/** The folder of a file, by the longest name that fits; undefined for a folder that is not in the table. */
export function folderOf(file: string): string | undefined {
  if (/^src\/[^/]+$/.test(file)) return "src";
  return Object.keys(arrows)
    .filter((folder) => folder !== "src" && file.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
}
