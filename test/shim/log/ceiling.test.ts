import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { compileLua } from "../support/lua.ts";
import { assertAccounted, missingIn, numbersIn, prelude } from "./script.ts";

const ceilingBytes = 200_000;
const lineBytes = "2006-01-02T15:04:05.123456789Z stdout F 00000001 x\n".length;

const began =
  / stderr F berth: this log reached its ceiling of 200000 bytes, lines are dropped until it is rotated\n/g;

await suite("a log's ceiling", () => {
  const module = compileLua("log/index.ts", "wire/loop.ts");
  const folder = mkdtempSync(join(tmpdir(), "berth-ceiling-"));
  after(() => {
    module[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  const run = (name: string, script: string): { readonly printed: string[]; readonly path: string } => {
    const path = join(folder, name);
    const printed = module
      .run(`${prelude}\nlog = openLog(path, 16384, ${ceilingBytes})\n${script}`, [path])
      .trimEnd()
      .split("\n");
    return { printed, path };
  };

  test("ceiling: what goes beyond is dropped, counted and said, and the next file has everything again", () => {
    const { printed, path } = run(
      "rotated",
      `
      allLines(10000, "x")
      runUntil("answered", settled)
      print(log.lost.lines, log.lost.bytes)
      os.rename(path, path .. ".1")
      local answer
      log:reopen(function(problem) answer = problem and problem.message or "reopened" end)
      runUntil("reopened", function() return answer end)
      print(answer)
      allLines(100, "y")
      finish()`,
    );
    const old = readFileSync(`${path}.1`, "utf8");
    const fresh = readFileSync(path, "utf8");
    const [lines = 0, bytes = 0] = (printed[0] ?? "").split("\t").map(Number);
    assert.equal(printed[1], "reopened");
    assert.ok(old.length <= ceilingBytes && old.length > ceilingBytes - 70_000, `${old.length} bytes`);
    assert.equal(old.match(began)?.length, 1);
    assert.match(old, /until it is rotated\n$/);
    assert.equal(numbersIn(old).length + lines, 10_000);
    assert.equal(bytes, lines * lineBytes);
    assert.match(
      fresh,
      /^\S+ stderr F berth: \d+ lines \(\d+ bytes\) of this log are missing here: its ceiling was/,
    );
    assert.deepEqual(missingIn(fresh), { lines, bytes });
    assert.deepEqual(
      numbersIn(fresh),
      Array.from({ length: 100 }, (_, index) => 10_001 + index),
    );
    assert.equal(printed.at(-1), `dropped\t${lines}`);
  });

  test("ceiling: a reopened file that is as long as before takes nothing more", () => {
    const { printed, path } = run(
      "not-renamed",
      `
      allLines(10000, "x")
      local answer
      log:reopen(function(problem) answer = problem and problem.message or "reopened" end)
      runUntil("reopened", function() return answer end)
      allLines(10000, "x")
      runUntil("answered", settled)
      print(size(path) <= ${ceilingBytes})
      finish()`,
    );
    assert.equal(printed[0], "true");
    assert.equal(readFileSync(path, "utf8").match(began)?.length, 1);
  });

  test("ceiling: a log that was cut short in its place goes on", () => {
    const { path } = run(
      "cut",
      `
      allLines(10000, "x")
      runUntil("answered", settled)
      io.open(path, "w"):close()
      allLines(1000, "y")
      finish()`,
    );
    const text = readFileSync(path, "utf8");
    assert.match(text, /^\S+ stderr F berth: \d+ lines /);
    assert.equal(numbersIn(text).at(-1), 11_000);
    assert.equal(numbersIn(text).length, 1000);
  });

  test("ceiling: what the file held before counts", () => {
    const path = join(folder, "earlier");
    writeFileSync(path, "2006-01-02T15:04:05.123456789Z stdout F 00000000 before\n".repeat(3000));
    const before = statSync(path).size;
    const { printed } = run("earlier", `allLines(3000, "x") print("lines", written) finish()`);
    const text = readFileSync(path, "utf8");
    assert.ok(before < ceilingBytes && text.length <= ceilingBytes, `${before}, ${text.length} bytes`);
    assert.equal(missingIn(text).lines, Number(printed.at(-1)?.split("\t")[1]));
  });

  test("ceiling: a container that ends there has the count at its log's end", () => {
    const { printed, path } = run(
      "ended",
      `
      allLines(10000, "x")
      allLines(1, "last")
      finish()`,
    );
    const text = readFileSync(path, "utf8");
    const dropped = Number(printed.at(-1)?.split("\t")[1]);
    assert.ok(text.length <= ceilingBytes);
    assert.match(text, /missing here: its ceiling was reached\n$/);
    assert.equal(missingIn(text).lines, dropped);
    assert.equal(numbersIn(text).length + dropped, 10_001);
  });

  test("ceiling: a writer that was let go leaves what it has to say to the next", () => {
    const { printed, path } = run(
      "rested",
      `
      for _ = 1, 20 do
        allLines(1000, "x")
        runUntil("answered", settled)
        log.delivery:rest()
        runUntil("it is gone", function() return C.waitpid(-1, nil, 1) ~= 0 end)
      end
      os.execute("cp " .. path .. " " .. path .. ".copy")
      io.open(path, "w"):close()
      allLines(1, "last")
      print("lines", written)
      finish()`,
    );
    const text = readFileSync(`${path}.copy`, "utf8");
    assert.ok(text.length <= ceilingBytes);
    assert.equal(text.match(began)?.length, 1);
    const dropped = Number(printed.at(-1)?.split("\t")[1]);
    assert.equal(missingIn(readFileSync(path, "utf8")).lines, dropped);
    assert.equal(numbersIn(text).length + dropped + 1, 20_001);
  });

  test("ceiling: a writer that is killed there is replaced, the count stays true", () => {
    const { printed, path } = run(
      "killed",
      `
      allLines(10000, "x")
      runUntil("answered", settled)
      local writer = children()[1]
      C.kill(writer, 9)
      runUntil("replaced", function() return C.waitpid(writer, nil, 1) ~= 0 end)
      allLines(10000, "x")
      os.execute("cp " .. path .. " " .. path .. ".copy")
      io.open(path, "w"):close()
      allLines(1, "last")
      finish()`,
    );
    const copy = readFileSync(`${path}.copy`, "utf8");
    const dropped = Number(printed.at(-1)?.split("\t")[1]);
    assert.equal(numbersIn(copy).length + dropped + 1, 20_001);
    assert.equal(missingIn(readFileSync(path, "utf8")).lines, dropped);
  });

  test("ceiling: a long line whose end is dropped is ended where it breaks", () => {
    const { path } = run(
      "open",
      `
      local function partial() put(string.rep("p", 16384)) if log.isFull then runUntil("room", function() return not log.isFull end) end end
      for _ = 1, 30 do partial() end
      put("end\\n")
      runUntil("answered", settled)
      os.rename(path, path .. ".1")
      log:reopen(function() end)
      runUntil("reopened", settled)
      put("later\\n")
      finish()`,
    );
    const frames = (text: string): string[] => text.split("\n").map((line) => line.slice(31, 50));
    const old = frames(readFileSync(`${path}.1`, "utf8"));
    assert.deepEqual(old.slice(-4), ["stdout P pppppppppp", "stdout F ", "stderr F berth: thi", ""]);
    assert.deepEqual(frames(readFileSync(path, "utf8")).slice(-2), ["stdout F later", ""]);
  });

  test("ceiling: those who are attached get every byte, and the container is never held back", () => {
    const { printed } = run(
      "attached",
      `
      local got, full = 0, 0
      local text = string.rep(string.rep("z", 99) .. "\\n", 300)
      local started = os.time()
      for _ = 1, 300 do
        assert(C.write(fds[1], text, #text) == #text)
        local left = #text
        while left > 0 do
          if log.isFull then runUntil("room", function() return not log.isFull end) end
          left = left - (log:readFrom(fds[0], "stdout") or 0)
          got = got + #log:lastText("stdout")
        end
      end
      runUntil("answered", settled)
      print(got == 300 * #text, log.lost.lines > 80000)
      finish()`,
    );
    assert.equal(printed[0], "true\ttrue");
  });

  test("ceiling: dropping leaves no garbage, in the shim and in the writer", () => {
    const { printed } = run(
      "garbage",
      `
      local many = string.rep(string.rep("z", 99) .. "\\n", 600)
      loop:add(fds[0], 1, function() log:readFrom(fds[0], "stdout") end)
      local function some(count)
        for _ = 1, count do
          C.write(fds[1], many, #many)
          repeat loop:turn() until settled()
        end
      end
      some(20)
      local writer = children()[1]
      collectgarbage() collectgarbage("stop")
      local before, writerBefore = collectgarbage("count"), own(writer)
      some(1000)
      print("shim", collectgarbage("count") - before <= 8)
      print("writer", own(writer) - writerBefore <= 8)
      finish()`,
    );
    assert.deepEqual(printed.slice(0, 2), ["shim\ttrue", "writer\ttrue"]);
  });

  test("ceiling: 0 is none", () => {
    const { printed, path } = run(
      "none",
      `log = openLog(path, 16384, 0) allLines(10000, "x") print("lines", written) finish()`,
    );
    assert.equal(assertAccounted(path, printed), 0);
  });
});
