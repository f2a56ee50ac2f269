import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { helpText, readInvocation, settings, flagOf } from "./index.ts";

function withFile<T>(text: string, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "berth-config-"));
  try {
    const file = join(folder, "config.toml");
    writeFileSync(file, text);
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("config: a flag wins over the file, the file over the default", () => {
  withFile('root = "/data/berth"\nlog_level = "debug"\n[cni]\nconf_dir = "/data/cni"\n', (file) => {
    const invocation = readInvocation(["--config", file, "--log-level", "warn", "--cni-bin-dirs", "/a,/b"]);
    assert.equal(invocation.action, "serve");
    assert.ok("config" in invocation);
    assert.equal(invocation.config.root, "/data/berth");
    assert.equal(invocation.config.logLevel, "warn");
    assert.equal(invocation.config.cniConfDir, "/data/cni");
    assert.deepEqual(invocation.config.cniBinDirs, ["/a", "/b"]);
    assert.equal(invocation.config.state, settings.state.fallback);
    assert.deepEqual(invocation.warnings, []);
  });
});

test("config: a path that may be none", () => {
  const read = (...argv: string[]) => {
    const invocation = readInvocation(argv);
    assert.ok("config" in invocation);
    return invocation.config;
  };
  assert.equal(read().dockerConfig, "");
  assert.equal(read().certsDir, "/etc/berth/certs.d");
  withFile('[images]\ncerts_dir = "/c"\ndocker_config = "/d/config.json"\n', (file) => {
    assert.equal(read("--config", file).certsDir, "/c");
    assert.equal(read("--config", file).dockerConfig, "/d/config.json");
    assert.equal(read("--config", file, "--images-docker-config", "").dockerConfig, "");
  });
  assert.throws(
    () => read("--images-docker-config", "here"),
    /^RuntimeError: images\.docker_config: expected an abs/,
  );
});

test("config: a ceiling of a log may be none", () => {
  const read = (...argv: string[]) => {
    const invocation = readInvocation(argv);
    assert.ok("config" in invocation);
    return invocation.config.maxLogBytes;
  };
  assert.equal(read(), 2 * 1024 ** 3);
  assert.equal(read("--max-log-bytes-between-rotations", "0"), 0);
  assert.equal(read("--max-log-bytes-between-rotations", "1048576"), 1024 ** 2);
  withFile("max_log_bytes_between_rotations = 0\n", (file) => {
    assert.equal(read("--config", file), 0);
  });
});

test("config: an unknown key is a warning with its line and the nearest known key", () => {
  withFile('root = "/x"\nlog_leve = "debug"\nnonsense = 1\n', (file) => {
    const invocation = readInvocation(["--config", file]);
    assert.ok("warnings" in invocation);
    assert.deepEqual(invocation.warnings, [
      `${file}:2: unknown key log_leve; did you mean log_level?`,
      `${file}:3: unknown key nonsense; it is ignored`,
    ]);
  });
});

for (const [name, argv, toml, expected] of [
  ["a relative path", ["--root", "here"], "", /^root: expected an absolute path, not "here"$/],
  [
    "a wrong choice in the file",
    [],
    'log_format = "xml"',
    /config\.toml: log_format: expected text or json, not "xml"$/,
  ],
  [
    "a number out of range",
    ["--cni-timeout-ms", "1"],
    "",
    /^cni\.timeout_ms: expected a whole number from 100 /,
  ],
  [
    "a ceiling below what makes sense",
    ["--max-log-bytes-between-rotations", "1000"],
    "",
    /^max_log_bytes_between_rotations: expected 0 for none, or a whole number from 1048576 /,
  ],
  ["broken TOML", [], "root = ", /config\.toml:1:/],
  ["an unknown flag", ["--rooot", "/x"], "", /'--rooot'.*see berthd --help/],
] as const) {
  test(`config: ${name} is refused by name`, () => {
    withFile(toml, (file) => {
      assert.throws(
        () => readInvocation(["--config", file, ...argv]),
        (error) => hasCode(error, "invalid-argument") && expected.test(error.message),
      );
    });
  });
}

test("config: a file that was named must exist", () => {
  assert.throws(
    () => readInvocation(["--config", "/nonexistent/c.toml"]),
    /cannot read the config file \/nonexistent/,
  );
});

test("config: help shows every flag", () => {
  const help = helpText();
  for (const setting of Object.values(settings)) assert.ok(help.includes(`${flagOf(setting)} `), setting.key);
});
