import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../core/errors.ts";
import { parseHostsFile } from "./hosts-file.ts";

const path = "/certs/quay.example/hosts.toml";
const parse = (text: string): ReturnType<typeof parseHostsFile> => parseHostsFile(text, path);

test("hosts file: hosts in their order, the server last, each with what its table says", () => {
  const { entries, warnings } = parse(`
server = "https://quay.example"
[host."https://z.example"]
  capabilities = ["Pull", "resolve", "referrers"]
  ca = "ca.pem"
  client = [["c.cert", "/k/c.key"], ["both.pem", ""]]
  dial_timeout = "1m1.5s"
  [host."https://z.example".header]
    X-One = "a"
    x-two = ["b", "c"]
[host."http://a.example:5000"]
  skip_verify = true
  client = ["one.pem", "/two.pem"]
  ca = ["/x/ca1.pem", "ca2.pem"]
`);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    entries.map(({ root }) => root?.href),
    ["https://z.example/v2/", "http://a.example:5000/v2/", "https://quay.example/v2/"],
  );
  assert.deepEqual(entries[0], {
    root: new URL("https://z.example/v2/"),
    capabilities: new Set(["pull", "resolve"]),
    headers: { "x-one": "a", "x-two": ["b", "c"] },
    files: {
      ca: ["/certs/quay.example/ca.pem"],
      client: [
        { cert: "/certs/quay.example/c.cert", key: "/k/c.key" },
        { cert: "/certs/quay.example/both.pem" },
      ],
      verification: "verified",
      connectTimeoutMs: 61_500,
    },
  });
  assert.deepEqual(entries[1]?.files, {
    ca: ["/x/ca1.pem", "/certs/quay.example/ca2.pem"],
    client: [{ cert: "/certs/quay.example/one.pem" }, { cert: "/two.pem" }],
    verification: "skipped",
  });
  assert.deepEqual([...(entries[2]?.capabilities ?? [])], ["pull", "resolve", "push"]);
});

const roots: readonly (readonly [string, string, string])[] = [
  ["a host alone is https", 'server = "m.example:5000"', "https://m.example:5000/v2/"],
  ["v2 is added to a path", 'server = "https://m.example/us"', "https://m.example/us/v2/"],
  ["v2 is not added twice", 'server = "https://m.example/us/v2/"', "https://m.example/us/v2/"],
  ["override_path", 'server = "https://m.example/x/api"\noverride_path = true', "https://m.example/x/api/"],
  ["override_path without a path", 'server = "http://m.example"\noverride_path = true', "http://m.example/"],
  ["Docker Hub's name", 'server = "https://docker.io"', "https://registry-1.docker.io/v2/"],
];
for (const [name, text, root] of roots) {
  test(`hosts file: ${name}`, () => {
    assert.equal(parse(text).entries.at(-1)?.root?.href, root);
  });
}

test("hosts file: without a server the registry itself is last, with the file's settings", () => {
  const { entries } = parse('ca = "/ca.pem"\n[host."https://m.example"]\n');
  assert.equal(entries.length, 2);
  assert.equal(entries[1]?.root, undefined);
  assert.deepEqual(entries[1]?.files.ca, ["/ca.pem"]);
});

test("hosts file: unknown keys are named with their line", () => {
  const { warnings } = parse('[host."https://m.example"]\n  skipverify = true\n');
  assert.deepEqual(warnings, [`${path}:2: unknown key skipverify; it is ignored`]);
});

const host = '[host."https://m.example"]\n';
const faults: readonly (readonly [string, string, RegExp])[] = [
  ["broken TOML", 'server = "x"\n[host', /hosts\.toml:2:\d+: /],
  ["a server that is no text", "server = 5", /hosts\.toml:1: server: expected a text/],
  ["a scheme", 'server = "ftp://x"', /expected an http or https URL/],
  ["no host", 'server = "https://"', /expected an http or https URL/],
  ["a query", 'server = "https://x/?a=b"', /a URL with a query/],
  ["a host that is no table", 'host = "x"', /hosts\.toml:1: host: expected a table/],
  ["a capability", `${host}\ncapabilities = ["pul"]`, /hosts\.toml:3: capabilities: .*not "pul"/],
  ["capabilities that are no list", `${host}capabilities = "pull"`, /:2: capabilities: expected a list/],
  ["skip_verify", `${host}skip_verify = "yes"`, /:2: skip_verify: expected true or false/],
  ["ca", `${host}ca = 1`, /:2: ca: expected a path/],
  ["client", `${host}client = [["a", "b", "c"]]`, /:2: client: expected a path/],
  ["dial_timeout without a unit", `${host}dial_timeout = "5"`, /:2: dial_timeout: expected a time/],
  ["dial_timeout that is too long", `${host}dial_timeout = "90m"`, /:2: dial_timeout: expected a time/],
  ["a header of two lines", `${host}header = { x = "a\\nb" }`, /expected a header's name/],
  ["a header's name", `${host}header = { "x y" = "a" }`, /expected a header's name/],
];
for (const [name, text, message] of faults) {
  test(`hosts file: ${name} is refused with file and line`, () => {
    assert.throws(
      () => parse(text),
      (thrown) =>
        hasCode(thrown, "failed-precondition") &&
        thrown.message.startsWith(path) &&
        message.test(thrown.message),
    );
  });
}

test("hosts file: no error quotes a secret", () => {
  for (const text of [
    'server = "https://user:hunter2@x.example"',
    'header = { authorization = "hunter2" ',
    'header = { authorization = "hunter2\\n" }',
  ]) {
    assert.throws(
      () => parse(text),
      (thrown: Error) => !thrown.message.includes("hunter2"),
      text,
    );
  }
});
