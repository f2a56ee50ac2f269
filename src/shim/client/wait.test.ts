import assert from "node:assert/strict";
import { test } from "node:test";
import { bounded } from "./wait.ts";

test("bounded: a signal that was aborted before abandons the work, and nothing begins", async () => {
  let abandoned = 0;
  const waiting = bounded<never>(
    "work",
    { signal: AbortSignal.abort() },
    () => assert.fail("begun"),
    () => abandoned++,
  );
  await assert.rejects(waiting, { code: "aborted", message: "work: aborted by the caller" });
  assert.equal(abandoned, 1);
});

test("bounded: the deadline abandons the work, its end does not", async () => {
  let abandoned = 0;
  const abandon = (): number => abandoned++;
  const wait = { timeoutMs: 20 };
  assert.equal(
    await bounded<number>(
      "work",
      wait,
      ({ resolve }) => {
        resolve(1);
      },
      abandon,
    ),
    1,
  );
  assert.equal(abandoned, 0);
  await assert.rejects(
    bounded<number>("work", wait, () => undefined, abandon),
    {
      code: "deadline-exceeded",
    },
  );
  assert.equal(abandoned, 1);
});
