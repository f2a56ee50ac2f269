import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** A loop, a log at `path` that reads a pipe, a source of numbered lines, and ways to find and to treat the writer. */
export const prelude = `
local ffi = require("ffi")
ffi.cdef[[
  int usleep(unsigned us); int mount(const char *, const char *, const char *, unsigned long, const char *);
]]
local C = ffi.C
local path = ...
local function new(class, ...)
  local instance = setmetatable({}, class.prototype)
  instance:____constructor(...)
  return instance
end
local loop = new(module.Loop)
local function openLog(path, maxLineBytes, maxBytes)
  return new(module.ContainerLog, {path = path, maxLineBytes = maxLineBytes or 16384, maxBytes = maxBytes or 0}, loop)
end
local log = openLog(path)
local fds = ffi.new("int[2]")
C.pipe2(fds, 0x800)
local function runUntil(what, condition)
  for _ = 1, 3000 do
    if condition() then return end
    local timer = loop:after(20, function() end)
    loop:turn()
    loop:cancel(timer)
  end
  error("never: " .. what)
end
local function drain(stream)
  while not log.isFull and log:readFrom(fds[0], stream or "stdout") do end
end
local function put(text, stream)
  assert(C.write(fds[1], text, #text) == #text)
  drain(stream)
end
local written = 0
-- Lines while the log takes them.
local function lines(count, text)
  for _ = 1, count do
    if log.isFull then return end
    written = written + 1
    put(string.format("%08d %s\\n", written, text or ""))
  end
end
local function allLines(count, text)
  local last = written + count
  while written < last do
    lines(last - written, text)
    if log.isFull then runUntil("room", function() return not log.isFull end) end
    drain()
  end
end
local function settled() return log.delivery.isSettled and not log.isFull end
local function children()
  local text = io.open("/proc/self/task/" .. C.getpid() .. "/children"):read("*a")
  local pids = {}
  for pid in text:gmatch("%d+") do pids[#pids + 1] = tonumber(pid) end
  return pids
end
local function own(pid)
  return tonumber(io.open("/proc/" .. pid .. "/smaps_rollup"):read("*a"):match("Private_Dirty:%s+(%d+)"))
end
local function size(path) return io.open(path):seek("end") end
local function finish()
  local done = false
  log:finish(5000, function() done = true end)
  runUntil("finished", function() return done end)
  runUntil("the writer is gone", function() return C.waitpid(-1, nil, 1) ~= 0 end)
  print("dropped", log.lost.lines)
end
`;

/** Numbers of the lines in a log; throws for a line that is not whole. */
export function numbersIn(text: string): number[] {
  assert.ok(text === "" || text.endsWith("\n"));
  return text
    .split("\n")
    .slice(0, -1)
    .filter((line) => !line.includes(" stderr F berth: "))
    .map((line) => {
      const match = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F (\d{8}) /.exec(line);
      assert.ok(match !== null, `torn line: ${JSON.stringify(line)}`);
      return Number(match[1]);
    });
}

/** Lines, and their bytes, that notices in the log call missing. */
export function missingIn(text: string): { readonly lines: number; readonly bytes: number } {
  const notice = / stderr F berth: (\d+) lines \((\d+) bytes\) of this log are missing here: /g;
  const found = [...text.matchAll(notice)];
  const sum = (group: number): number => found.reduce((total, match) => total + Number(match[group]), 0);
  return { lines: sum(1), bytes: sum(2) };
}

/** Lines in the log and lines that it calls missing are all there were; returns how many are missing. */
export function assertAccounted(path: string, printed: readonly string[]): number {
  const total = Number(printed.at(-2)?.split("\t")[1]);
  const dropped = Number(printed.at(-1)?.split("\t")[1]);
  const text = readFileSync(path, "utf8");
  const numbers = numbersIn(text);
  for (const [index, number] of numbers.entries()) {
    assert.ok(index === 0 || number > (numbers[index - 1] ?? 0), `line ${number} is out of order`);
  }
  assert.equal(numbers.at(-1), total);
  assert.equal(numbers.length + dropped, total);
  assert.equal(missingIn(text).lines, dropped);
  return dropped;
}
