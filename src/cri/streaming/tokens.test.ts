import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../core/errors.ts";
import { maxOutstandingTokens, tokenLifetimeMs } from "./limits.ts";
import { Tokens } from "./tokens.ts";

test("tokens: one opens its request, once", () => {
  const tokens = new Tokens<string>();
  const first = tokens.issue("first");
  const second = tokens.issue("second");
  assert.match(first, /^[\w-]{22}$/);
  assert.equal(tokens.redeem(second), "second");
  assert.equal(tokens.redeem(second), undefined);
  assert.equal(tokens.redeem(first), "first");
  assert.equal(tokens.size, 0);
});

test("tokens: unknown ones open nothing", () => {
  const tokens = new Tokens<string>();
  const token = tokens.issue("request");
  for (const wrong of ["", "x", token.slice(1), `${token}A`, token.toUpperCase(), "A".repeat(10_000)]) {
    assert.equal(tokens.redeem(wrong), undefined);
  }
  assert.equal(tokens.redeem(token), "request");
});

test("tokens: one expires after its minute", () => {
  let now = 0;
  const tokens = new Tokens<string>(() => now);
  const token = tokens.issue("request");
  const later = tokens.issue("later");
  now = tokenLifetimeMs;
  assert.equal(tokens.redeem(token), undefined);
  assert.equal(tokens.redeem(later), undefined);
  assert.equal(tokens.size, 0);
});

test("tokens: too many are refused until the oldest expire", () => {
  let now = 0;
  const tokens = new Tokens<number>(() => now);
  for (let index = 0; index < maxOutstandingTokens; index++) {
    now = index;
    tokens.issue(index);
  }
  assert.throws(
    () => tokens.issue(-1),
    (thrown) => hasCode(thrown, "resource-exhausted"),
  );
  now = tokenLifetimeMs;
  tokens.issue(-1);
  assert.throws(
    () => tokens.issue(-2),
    (thrown) => hasCode(thrown, "resource-exhausted"),
  );
});
