import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { hasCode } from "../../core/errors.ts";
import { askCredentialHelper } from "./credential-helper.ts";
import { chooseCredentials, type Credentials, type RegistryAuth } from "./credentials.ts";
import { openDockerConfig } from "./docker-config.ts";

const scratch = { folder: "", path: process.env["PATH"] };
before(() => {
  scratch.folder = mkdtempSync(join(tmpdir(), "berth-credentials-"));
  process.env["PATH"] = `${scratch.folder}:${scratch.path ?? ""}`;
});
after(() => {
  process.env["PATH"] = scratch.path;
  rmSync(scratch.folder, { recursive: true });
});

/** A helper that is a shell script; its first argument and its input are `$1` and `$server`. */
function helper(name: string, script: string): void {
  const file = join(scratch.folder, `docker-credential-${name}`);
  writeFileSync(file, `#!/bin/sh\nread -r server\n${script}\n`);
  chmodSync(file, 0o755);
}

function config(content: unknown): string {
  const file = join(scratch.folder, "config.json");
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

const of = (content: unknown, host: string): Promise<Credentials> =>
  openDockerConfig(config(content)).of(host);
const basic = (username: string, password: string): Credentials => ({ kind: "basic", username, password });
const auth = Buffer.from("u:p").toString("base64");

test("docker config: auths by host, scheme and path aside", async () => {
  const auths = {
    "https://index.docker.io/v1/": { auth: Buffer.from("hub:p").toString("base64") },
    "quay.example": { auth },
    "https://other.example:5000/v2/": { username: "o", password: "q" },
    "token.example": { auth: Buffer.from("0:").toString("base64"), identitytoken: "refresh" },
    "empty.example": {},
  };
  assert.deepEqual(await of({ auths }, "quay.example"), basic("u", "p"));
  assert.deepEqual(await of({ auths }, "docker.io"), basic("hub", "p"));
  assert.deepEqual(await of({ auths }, "other.example:5000"), basic("o", "q"));
  assert.deepEqual(await of({ auths }, "token.example"), { kind: "refresh-token", token: "refresh" });
  for (const host of ["empty.example", "quay.example:5000", "sub.quay.example", "other.example"])
    assert.deepEqual(await of({ auths }, host), { kind: "none" }, host);
  assert.deepEqual(await openDockerConfig("/nonexistent/config.json").of("quay.example"), { kind: "none" });
  assert.deepEqual(await openDockerConfig(undefined).of("quay.example"), { kind: "none" });
});

test("docker config: a helper of the host before the store, both before auths", async () => {
  helper("own", 'echo "{\\"Username\\":\\"own-$1\\",\\"Secret\\":\\"$server\\"}"');
  helper("store", 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"t-$server\\"}"');
  helper("nothing", 'echo "credentials not found in native keychain"; exit 1');
  const auths = { "quay.example": { auth }, "a.example": { auth } };
  const credHelpers = { "a.example": "own", "docker.io": "own", "quay.example": "nothing" };
  const content = { auths, credHelpers, credsStore: "store" };
  assert.deepEqual(await of(content, "a.example"), basic("own-get", "a.example"));
  assert.deepEqual(await of(content, "docker.io"), basic("own-get", "https://index.docker.io/v1/"));
  assert.deepEqual(await of(content, "b.example"), { kind: "refresh-token", token: "t-b.example" });
  assert.deepEqual(await of(content, "quay.example"), basic("u", "p"), "auths where the helper has none");
});

test("docker config: what cannot be read is refused by the file's name alone", async () => {
  for (const content of [
    '{"auths":{"x":{"auth":"hunter2"',
    '"hunter2"',
    { auths: { x: { auth: "aHVudGVyMg==" } } },
  ]) {
    await assert.rejects(
      of(content, "x"),
      (thrown) =>
        hasCode(thrown, "failed-precondition") &&
        thrown.message.includes("config.json") &&
        !/hunter2|aHVudGVy/.test(thrown.message),
    );
  }
});

const failures: readonly (readonly [string, string, RegExp])[] = [
  ["fails", 'echo "hunter2"; echo hunter2 >&2; exit 3', /ended with exit 3$/],
  ["is killed", "kill -9 $$", /ended with SIGKILL$/],
  ["answers no JSON", "echo hunter2", /answered something other than credentials$/],
  ["answers other types", 'echo "{\\"Username\\":5,\\"Secret\\":\\"hunter2\\"}"', /something other than/],
  ["writes without end", "yes hunter2", /wrote more than 1000 bytes$/],
  ["hangs", "sleep 600", /gave no answer within 300 ms$/],
  ["leaves a child that keeps the pipe", "sleep 600 & exit 0", /gave no answer within 300 ms$/],
];
for (const [index, [name, script, message]] of failures.entries()) {
  test(`credential helper: one that ${name}`, async () => {
    helper(`bad${index}`, script);
    await assert.rejects(
      askCredentialHelper(`bad${index}`, "quay.example", { timeoutMs: 300, maxOutputBytes: 1000 }),
      (thrown) =>
        hasCode(thrown, "unauthenticated") &&
        thrown.message.startsWith(`credentials for quay.example: docker-credential-bad${index} `) &&
        message.test(thrown.message) &&
        !thrown.message.includes("hunter2"),
    );
  });
}

test("credential helper: one that is missing, one that is a path", async () => {
  await assert.rejects(askCredentialHelper("absent", "x"), /docker-credential-absent is not in the PATH/);
  await assert.rejects(askCredentialHelper("../../bin/sh", "x"), /is no name of a helper/);
});

const registry = "quay.example";
const trusted = new Set(["pull", "resolve"]);
const own = { host: registry, capabilities: trusted };
const mirror = { host: "m.example", mirrorOf: registry, capabilities: trusted };
const given: RegistryAuth = { username: "u", password: "p" };
const none: Credentials = { kind: "none" };
const choices: readonly (readonly [
  string,
  Parameters<typeof chooseCredentials>[0],
  RegistryAuth | undefined,
  object,
])[] = [
  ["the registry, given", own, given, basic("u", "p")],
  ["the registry, given for it", own, { ...given, serverAddress: registry }, basic("u", "p")],
  ["the registry, given for another", own, { ...given, serverAddress: "x" }, basic("stored", registry)],
  ["the registry, none given", own, undefined, basic("stored", registry)],
  ["a mirror, given for it", mirror, { ...given, serverAddress: "m.example" }, basic("u", "p")],
  ["a mirror, given for the registry", mirror, { ...given, serverAddress: registry }, none],
  ["a mirror, given without a server", mirror, given, basic("u", "p")],
  ["a mirror that is not trusted", { ...mirror, capabilities: new Set(["pull"]) }, given, none],
  ["a mirror, a registry token", mirror, { registryToken: "t" }, none],
  ["a mirror, an identity token", mirror, { identityToken: "t" }, none],
  [
    "a mirror that the node knows",
    { ...mirror, host: "known.example" },
    given,
    basic("stored", "known.example"),
  ],
];
for (const [name, host, request, expected] of choices) {
  test(`credentials: ${name}`, async () => {
    const known = [registry, "known.example"];
    const stored = {
      of: (asked: string) => Promise.resolve(known.includes(asked) ? basic("stored", asked) : none),
    };
    assert.deepEqual(await chooseCredentials(host, registry, request, stored).asked(), expected);
  });
}
