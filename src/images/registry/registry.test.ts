import assert from "node:assert/strict";
import { test } from "node:test";
import { parseChallenges } from "./challenge.ts";
import { readCredentials } from "./credentials.ts";
import { describeBody, statusError } from "./failure.ts";
import { apiRoot, isPlainHttp, mayFollow } from "./hosts.ts";
import { backoffMs, retryAfterMs } from "./retry.ts";

const challenges: readonly (readonly [string, unknown])[] = [
  ["", []],
  ['Basic realm="a b"', [{ scheme: "basic", parameters: { realm: "a b" } }]],
  [
    'Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull,push"',
    [
      {
        scheme: "bearer",
        parameters: { realm: "https://auth.example/token", service: "r", scope: "repository:a/b:pull,push" },
      },
    ],
  ],
  [
    'Bearer realm=x , Basic realm="y\\"z"',
    [
      { scheme: "bearer", parameters: { realm: "x" } },
      { scheme: "basic", parameters: { realm: 'y"z' } },
    ],
  ],
  ['realm="lost"', []],
  ["Bearer \u0001\u0002", [{ scheme: "bearer", parameters: {} }]],
];

for (const [header, expected] of challenges) {
  test(`challenge: ${JSON.stringify(header)}`, () => {
    assert.deepEqual(parseChallenges(header), expected);
  });
}

test("challenge: a hostile header is read in no time", () => {
  const from = performance.now();
  parseChallenges(`Bearer ${'a="\\"'.repeat(100_000)}`);
  parseChallenges(" ".repeat(100_000));
  parseChallenges(`Bearer a${" ".repeat(100_000)}`);
  assert.ok(performance.now() - from < 5_000);
});

const pair = { kind: "basic", username: "u", password: "p:q" };
const credentials: readonly (readonly [string, Parameters<typeof readCredentials>[0], string, unknown])[] = [
  ["none", undefined, "quay.io", { kind: "none" }],
  ["empty strings", { username: "", auth: "", registryToken: "" }, "quay.io", { kind: "none" }],
  ["name and password", { username: "u", password: "p:q" }, "quay.io", pair],
  ["base64", { auth: Buffer.from("u:p:q").toString("base64") }, "quay.io", pair],
  ["base64 with padding zeros", { auth: Buffer.from("u:p:q\0\0").toString("base64") }, "quay.io", pair],
  ["identity token", { identityToken: "t", username: "u" }, "quay.io", { kind: "refresh-token", token: "t" }],
  ["registry token", { registryToken: "t", identityToken: "i" }, "quay.io", { kind: "bearer", token: "t" }],
  [
    "its own server",
    { username: "u", password: "p:q", serverAddress: "https://quay.io/v1/" },
    "quay.io",
    pair,
  ],
  [
    "Docker Hub's old address",
    { username: "u", password: "p:q", serverAddress: "https://index.docker.io/v1/" },
    "docker.io",
    pair,
  ],
  [
    "another server",
    { username: "u", password: "p:q", serverAddress: "quay.io" },
    "evil.example",
    { kind: "none" },
  ],
  ["another port", { username: "u", password: "p:q", serverAddress: "h:1" }, "h:2", { kind: "none" }],
];

for (const [name, auth, registry, expected] of credentials) {
  test(`credentials: ${name}`, () => {
    assert.deepEqual(readCredentials(auth, registry), expected);
  });
}

test("credentials: what is not base64 of a pair is refused without naming it", () => {
  assert.throws(
    () => readCredentials({ auth: "c2VjcmV0" }, "quay.io"),
    (error: Error) => !error.message.includes("secret") && !error.message.includes("c2VjcmV0"),
  );
});

test("hosts: plain http for loopback and configured hosts alone", () => {
  const policy = { insecureRegistries: ["lab.example:5000"] };
  const plain = ["127.0.0.1:5000", "127.9.9.9", "localhost", "localhost:1", "[::1]:5000", "lab.example:5000"];
  const secure = [
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "lab.example",
    "10.0.0.1:5000",
    "[::2]",
    "1127.0.0.1",
  ];
  for (const host of plain) assert.equal(isPlainHttp(host, policy), true, host);
  for (const host of secure) assert.equal(isPlainHttp(host, policy), false, host);
  assert.equal(apiRoot("docker.io", policy).href, "https://registry-1.docker.io/v2/");
  assert.equal(mayFollow(new URL("https://a/"), new URL("http://127.0.0.1/"), policy), false);
  assert.equal(mayFollow(new URL("http://127.0.0.1/"), new URL("http://lab.example:5000/"), policy), true);
  assert.equal(mayFollow(new URL("http://127.0.0.1/"), new URL("http://a/"), policy), false);
  assert.equal(mayFollow(new URL("http://127.0.0.1/"), new URL("file:///etc/passwd"), policy), false);
});

test("retry: waits double, Retry-After is read as seconds or a date", () => {
  assert.deepEqual(
    [1, 2, 3].map((attempt) => backoffMs(attempt, 1)),
    [250, 500, 1000],
  );
  assert.equal(backoffMs(1, 0), 125);
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfterMs(undefined, now), undefined);
  assert.equal(retryAfterMs("2", now), 2000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2026 00:00:05 GMT", now), 5000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2015 00:00:05 GMT", now), 0);
  assert.equal(retryAfterMs("soon", now), undefined);
  assert.equal(retryAfterMs("86400", now), "never");
});

test("failure: codes, sentinel, and the registry's words on one line", () => {
  const of = (status: number) => statusError("manifest of x", "h", status, "");
  assert.deepEqual(
    [401, 403, 404, 429, 500].map((status) => of(status).code),
    ["unauthenticated", "permission-denied", "not-found", "unavailable", "unavailable"],
  );
  assert.match(of(503).message, /^RegistryUnavailable: manifest of x: h answered 503/);
  assert.equal(describeBody('{"errors":[{"code":"A","message":"b\\nc"}]}'), "A: b c");
  assert.equal(describeBody("plain\u001b[31m text"), "plain [31m text");
  assert.equal(describeBody("<html>"), "");
});
