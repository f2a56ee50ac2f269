import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../core/errors.ts";
import { readProxies } from "./proxy.ts";

const both = { HTTP_PROXY: "http://plain:1", HTTPS_PROXY: "http://secure:2" };

test("proxy: by scheme, the upper case first, none for loopback", () => {
  const chosen = (environment: Record<string, string>, url: string): string | undefined =>
    readProxies(environment)(new URL(url))?.host;
  assert.equal(chosen(both, "http://r.example/"), "plain:1");
  assert.equal(chosen(both, "https://r.example/"), "secure:2");
  assert.equal(chosen({ ...both, https_proxy: "http://lower:3" }, "https://r.example/"), "secure:2");
  assert.equal(chosen({ https_proxy: "lower:3" }, "https://r.example/"), "lower:3");
  assert.equal(chosen({ HTTP_PROXY: "http://plain:1" }, "https://r.example/"), undefined);
  assert.equal(chosen({}, "https://r.example/"), undefined);
  for (const host of [
    "localhost",
    "localhost:5000",
    "127.0.0.1:5000",
    "127.9.9.9",
    "[::1]:5000",
    "LOCALHOST.",
  ])
    assert.equal(chosen(both, `http://${host}/`), undefined, host);
});

const exemptions: readonly (readonly [string, string, boolean])[] = [
  ["*", "https://a.example/", true],
  ["a.example", "https://a.example/", true],
  ["a.example", "https://sub.a.example/", true],
  ["a.example", "https://sub.A.EXAMPLE./", true],
  ["a.example", "https://nota.example/", false],
  [".a.example", "https://sub.a.example/", true],
  [".a.example", "https://a.example/", false],
  ["*.a.example", "https://sub.a.example/", true],
  ["*.a.example", "https://a.example/", false],
  ["a.example:5000", "https://a.example:5000/", true],
  ["a.example:5000", "https://a.example/", false],
  ["a.example:443", "https://a.example/", true],
  ["a.example:80", "http://a.example/", true],
  ["10.0.0.0/8", "https://10.1.2.3:5000/", true],
  ["10.0.0.0/8", "https://11.1.2.3/", false],
  ["10.0.0.0/8", "https://10.example/", false],
  ["fd00::/8", "https://[fd12::1]/", true],
  ["fd00::/8", "https://[fe80::1]/", false],
  ["10.1.2.3", "https://10.1.2.3/", true],
  ["10.1.2.3:5000", "https://10.1.2.3/", false],
  ["fd12::1", "https://[fd12::1]/", true],
  ["fd12::1", "https://[fd12::1]:5000/", true],
  ["[fd12::1]:5000", "https://[fd12::1]:5000/", true],
  ["[fd12::1]:5000", "https://[fd12::1]/", false],
  [" x.example , a.example ", "https://a.example/", true],
  ["10.0.0.0/99, ,:,a.example", "https://a.example/", true],
  ["10.0.0.0/99, ,:", "https://a.example/", false],
];
for (const [list, url, exempt] of exemptions) {
  test(`proxy: NO_PROXY ${JSON.stringify(list)} and ${url}`, () => {
    assert.equal(readProxies({ ...both, NO_PROXY: list })(new URL(url)) === undefined, exempt);
  });
}

test("proxy: one that cannot be used is refused by its variable, without its password", () => {
  for (const value of ["socks5://u:hunter2@x:1", "http://u:hunter2@:x"]) {
    assert.throws(
      () => readProxies({ HTTPS_PROXY: value })(new URL("https://a.example/")),
      (thrown) =>
        hasCode(thrown, "failed-precondition") &&
        thrown.message.startsWith("HTTPS_PROXY: ") &&
        !thrown.message.includes("hunter2"),
    );
  }
});
