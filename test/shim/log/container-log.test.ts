import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { compileLua } from "../support/lua.ts";
import { assertAccounted, numbersIn, prelude } from "./script.ts";

await suite("container log", () => {
  const module = compileLua("log/index.ts", "wire/loop.ts");
  const folder = mkdtempSync(join(tmpdir(), "berth-log-"));
  after(() => {
    module[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  const run = (name: string, script: string): { readonly printed: string[]; readonly path: string } => {
    const path = join(folder, name);
    const printed = module.run(`${prelude}\n${script}`, [path]).trimEnd().split("\n");
    return { printed, path };
  };

  test("log: there is no writer before the first line, nor after the last", () => {
    const { printed, path } = run(
      "quiet",
      `
      print(#children())
      lines(1)
      print(#children())
      lines(1)
      finish()
      print(#children())`,
    );
    assert.deepEqual(printed, ["0", "1", "dropped\t0", "0"]);
    assert.deepEqual(numbersIn(readFileSync(path, "utf8")), [1, 2]);
  });

  const framings: readonly (readonly [name: string, pieces: readonly string[], log: string])[] = [
    ["nothing", [], ""],
    ["one line", ["a\n"], "F a|"],
    ["two lines at once", ["a\nb\n"], "F a|F b|"],
    ["empty lines", ["\n\n"], "F |F |"],
    ["a line in three pieces", ["a", "b", "c\nd\n"], "F abc|F d|"],
    ["the last line without its newline", ["a\nb"], "F a|F b|"],
    ["exactly the limit", ["12345678\n"], "F 12345678|"],
    ["one over the limit", ["123456789\n"], "P 12345678|F 9|"],
    ["twice the limit", ["1234567812345678\n"], "P 12345678|F 12345678|"],
    ["the limit, then its newline", ["12345678", "\n"], "F 12345678|"],
    ["over the limit without an end", ["12345678123"], "P 12345678|F 123|"],
    ["over the limit in pieces", ["12345", "67812", "3\n"], "P 12345678|F 123|"],
    ["a long line among short ones", ["a\n123456781\nb\n"], "F a|P 12345678|F 1|F b|"],
    ["bytes are bytes", ["\x01é%d\t\r\n"], "F \x01é%d\t\r|"],
  ];
  for (const [index, [name, pieces, expected]] of framings.entries()) {
    test(`log: ${name}`, () => {
      const path = join(folder, `framing-${index}`);
      module.run(
        `${prelude}
        log = openLog(path, 8)
        for index = 2, select("#", ...) do put((select(index, ...))) end
        log:finish(1000, function() loop:stop() end)
        loop:run()`,
        [path, ...pieces],
      );
      const text = readFileSync(path, "utf8").replaceAll(/^\S{30} stdout /gm, "");
      assert.equal(text.replaceAll("\n", "|"), expected);
    });
  }

  test("log: both streams, each with its unfinished line, bytes as they are", () => {
    const { path } = run(
      "streams",
      `
      put("one\\npart")
      put("error\\nmore", "stderr")
      put("ial\\n\\1\\255 end")
      put(" errors", "stderr")
      finish()`,
    );
    const texts = readFileSync(path, "latin1").replaceAll(/^\S+ /gm, "").split("\n");
    assert.deepEqual(texts, [
      "stdout F one",
      "stderr F error",
      "stdout F partial",
      "stdout F \x01\xff end",
      "stderr F more errors",
      "",
    ]);
  });

  test("log: what was read last can be had for those who are attached", () => {
    const { printed } = run(
      "attached",
      `
      put("a\\npa")
      C.write(fds[1], "rt\\n", 3)
      log:readFrom(fds[0], "stdout")
      io.write(log:lastText("stdout"))
      log:readFrom(fds[0], "stdout")
      io.write(log:lastText("stdout"))
      finish()`,
    );
    assert.deepEqual(printed, ["rt", "dropped\t0"]);
  });

  test("log: reopened after a rename, all lines are there, in order, none torn", () => {
    const { printed, path } = run(
      "rotated",
      `
      allLines(5000, "before")
      os.rename(path, path .. ".1")
      allLines(5000, "between")
      local answer
      log:reopen(function(problem)
        answer = problem and problem.message or "reopened"
        print(io.open(path) ~= nil)
      end)
      allLines(5000, "after")
      runUntil("reopened", function() return answer end)
      print(answer)
      allLines(1, "last")
      finish()`,
    );
    assert.deepEqual(printed, ["true", "reopened", "dropped\t0"]);
    const old = numbersIn(readFileSync(`${path}.1`, "utf8"));
    const fresh = numbersIn(readFileSync(path, "utf8"));
    assert.ok(old.length >= 10_000 && fresh.length > 4000);
    assert.deepEqual(
      [...old, ...fresh],
      Array.from({ length: 15_001 }, (_, index) => index + 1),
    );
  });

  test("log: a container that is always faster than the disk does not hold up a reopening", () => {
    const { printed, path } = run(
      "busy",
      `
      local text = string.rep("x", 100)
      lines(100000, text)
      log:onWritable(function() lines(100000, text) end)
      os.rename(path, path .. ".1")
      local answers = {}
      for index = 1, 100 do
        log:reopen(function(problem) answers[index] = problem and problem.message or "reopened" end)
      end
      runUntil("reopened", function() return answers[100] end)
      log:onWritable(function() end)
      print(#answers, answers[1], answers[100])
      runUntil("room", function() return not log.isFull end)
      allLines(1, "last")
      finish()`,
    );
    assert.deepEqual(printed, ["100\treopened\treopened", "dropped\t0"]);
    const numbers = numbersIn(readFileSync(`${path}.1`, "utf8") + readFileSync(path, "utf8"));
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
    );
  });

  test("log: a reopen that fails says why and goes on in the old file", () => {
    const { printed, path } = run(
      "unmovable",
      `
      lines(1)
      os.rename(path, path .. ".1")
      os.execute("mkdir " .. path)
      local answer
      log:reopen(function(problem) answer = problem.message end)
      runUntil("answered", function() return answer end)
      print((answer:gsub("/.*/", "")))
      lines(1)
      finish()`,
    );
    assert.deepEqual(printed, ["open unmovable: is a directory", "dropped\t0"]);
    assert.deepEqual(numbersIn(readFileSync(`${path}.1`, "utf8")), [1, 2]);
  });

  test("log: a symlink in its place is refused, and lines of no length", () => {
    const { printed } = run(
      "link",
      `
      local function try(maxLineBytes)
        local ok, problem = pcall(openLog, path, maxLineBytes)
        print((problem.message:gsub("/%S*/", "")))
      end
      os.remove(path)
      os.execute("ln -s /dev/null " .. path)
      try(16384) try(0) try(70000)`,
    );
    assert.deepEqual(printed, [
      "open link: too many levels of symbolic links",
      "log link: lines of 0 bytes cannot be had",
      "log link: lines of 70000 bytes cannot be had",
    ]);
  });

  test("log: a writer that hangs holds the container for a second, then lines are dropped, counted and named", () => {
    const { printed, path } = run(
      "stuck",
      `
      lines(1)
      runUntil("written", settled)
      local writer = children()[1]
      C.kill(writer, 19)
      local text = string.rep("x", 1000)
      lines(100000, text)
      print("full", log.isFull, written < 2000)
      local freed = false
      log:onWritable(function() freed = true end)
      local before = os.time()
      runUntil("freed", function() return freed end)
      print("waited", os.time() - before <= 2)
      lines(5000, text)
      print("dropped while stuck", log.lost.lines >= 5000)
      C.kill(writer, 18)
      runUntil("taken up again", function() return not log.delivery.dropping and settled() end)
      lines(1)
      print("lines", written)
      finish()`,
    );
    assert.deepEqual(printed.slice(0, 3), ["full\ttrue\ttrue", "waited\ttrue", "dropped while stuck\ttrue"]);
    assertAccounted(path, printed);
  });

  test("log: a writer that hangs for good holds up the end of its shim for the given time only", () => {
    const { printed } = run(
      "forever",
      `
      lines(1)
      runUntil("written", settled)
      local writer = children()[1]
      C.kill(writer, 19)
      lines(10)
      local done = false
      log:finish(100, function() done = true end)
      runUntil("given up", function() return done end)
      C.kill(writer, 18)
      runUntil("the writer is gone", function() return C.waitpid(-1, nil, 1) ~= 0 end)
      print(written, log.lost.lines)`,
    );
    assert.deepEqual(printed, ["10\t1"]);
    assert.equal(numbersIn(readFileSync(join(folder, "forever"), "utf8")).length, 9);
  });

  test("log: a writer that is killed is replaced, what it had is counted", () => {
    const { printed, path } = run(
      "killed",
      `
      allLines(100, "a")
      runUntil("written", settled)
      local writer = children()[1]
      C.kill(writer, 19)
      lines(1000, "b")
      C.kill(writer, 9)
      C.waitpid(writer, nil, 0)
      runUntil("room", function() return not log.isFull end)
      allLines(100, "c")
      runUntil("taken up again", settled)
      allLines(1, "last")
      print("lines", written)
      finish()`,
    );
    assert.ok(assertAccounted(path, printed) > 0);
  });

  const isRoot = process.getuid?.() === 0;
  test(
    "log: a full disk loses whole lines, and says how many",
    { skip: isRoot ? false : "needs root" },
    () => {
      const { printed, path } = run(
        "copy",
        `
      local disk = path:gsub("[^/]*$", "disk")
      os.execute("mkdir -p " .. disk)
      assert(C.unshare(0x20000) == 0)
      assert(C.mount("none", "/", nil, 0x44000, nil) == 0)
      assert(C.mount("tmpfs", disk, "tmpfs", 0, "size=256k") == 0)
      os.execute("head -c 131072 /dev/zero > " .. disk .. "/ballast")
      log = openLog(disk .. "/log")
      allLines(3000, string.rep("y", 90))
      runUntil("answered", settled)
      local writer = children()[1]
      local before = own(writer)
      allLines(20000, "more")
      runUntil("answered", settled)
      print("bounded", own(writer) - before < 4096)
      os.remove(disk .. "/ballast")
      allLines(10, "later")
      print("lines", written)
      finish()
      os.execute("cp " .. disk .. "/log " .. path)`,
      );
      assert.equal(printed[0], "bounded\ttrue");
      assert.ok(assertAccounted(path, printed) > 0);
      assert.match(readFileSync(path, "utf8"), /missing here: no space left on device/);
    },
  );

  test("log: the way of a line leaves no garbage, in the shim and in the writer", () => {
    const { printed } = run(
      "much",
      `
      local line = string.rep("z", 99) .. "\\n"
      local many = string.rep(line, 600)
      loop:add(fds[0], 1, function() log:readFrom(fds[0], "stdout") end)
      local function some(count, text)
        for _ = 1, count do
          C.write(fds[1], text, #text)
          repeat loop:turn() until settled()
        end
      end
      some(20, many) some(20, line)
      local writer = children()[1]
      collectgarbage() collectgarbage("stop")
      local writerBefore = own(writer)
      local before = collectgarbage("count")
      some(200, many)
      some(2000, line)
      print("shim", collectgarbage("count") - before <= 8, collectgarbage("count") - before)
      print("writer", children()[1] == writer, own(writer) - writerBefore <= 8)
      finish()`,
    );
    assert.match(printed[0] ?? "", /^shim\ttrue/, printed.join("; "));
    assert.deepEqual(printed.slice(1), ["writer\ttrue\ttrue", "dropped\t0"]);
  });

  test("log: a container that says something now and then leaves no garbage in its shim", () => {
    const { printed } = run(
      "seldom",
      `
      local function say()
        C.write(fds[1], "now\\n", 4)
        log:readFrom(fds[0], "stdout")
        repeat loop:turn() until log.delivery.isSettled
        -- What happens after 10 to 20 s.
        log.quiet:cancel()
        log:restIfIdle()
        repeat until C.waitpid(-1, nil, 0) > 0
      end
      for _ = 1, 5 do say() end
      collectgarbage() collectgarbage("stop")
      local before = collectgarbage("count")
      for _ = 1, 300 do say() end
      print(collectgarbage("count") - before <= 8, collectgarbage("count") - before)
      finish()`,
    );
    assert.match(printed[0] ?? "", /^true/, printed.join("; "));
  });
});
