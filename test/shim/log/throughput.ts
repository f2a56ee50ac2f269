/**
 * How fast a container's log is written, and what its writer costs: `node test/shim/log/throughput.ts [folder]`. The
 * container is a process that fills a pipe with lines; the log lies in `folder` (the system's temporary one).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileLua } from "../support/lua.ts";

const script = `
local ffi = require("ffi")
local C = ffi.C
ffi.cdef[[
  int pipe(int fds[2]); typedef struct { long sec, usec; } berth_timeval;
  int getrusage(int who, void *usage);
]]
local path, lineBytes, megabytes, jitMode = ...
lineBytes, megabytes = tonumber(lineBytes), tonumber(megabytes)
if jitMode == "on" then jit.on() end
local function new(class, ...)
  local instance = setmetatable({}, class.prototype)
  instance:____constructor(...)
  return instance
end
local function clock()
  local time = ffi.new("timespec64")
  C.clock_gettime(1, time)
  return tonumber(time.sec) + tonumber(time.nsec) / 1e9
end
local function memory(pid)
  local text = io.open("/proc/" .. pid .. "/smaps_rollup"):read("*a")
  return string.format("Pss %d kB, own %d kB", text:match("Pss:%s+(%d+)"), text:match("Private_Dirty:%s+(%d+)"))
end
local fds = ffi.new("int[2]")
C.pipe(fds)
local total = megabytes * 1000000
local producer = C.fork()
if producer == 0 then
  C.close(fds[0])
  local lines = {}
  for i = 1, math.floor(65536 / lineBytes) do
    lines[i] = string.format("%08d %s\\n", i, string.rep("x", lineBytes - 10))
  end
  local text = table.concat(lines)
  local left = total
  while left > 0 do left = left - C.write(fds[1], text, #text) end
  C._exit(0)
end
C.close(fds[1])
local loop = new(module.Loop)
local log = new(module.ContainerLog, {path = path, maxLineBytes = 16384, maxBytes = 0}, loop)
collectgarbage() collectgarbage()
local idle = memory("self")
C.fcntl(fds[0], 4, 0x800)
local got = 0
local reading
local function onReady()
  local count = log:readFrom(fds[0], "stdout")
  if count == 0 then
    loop:remove(fds[0])
    log:finish(10000, function() loop:stop() end)
  elseif count then
    got = got + count
    if log.isFull then loop:remove(fds[0]) reading = false end
  end
end
local writerPid, writerMemory
log:onWritable(function()
  if not writerPid then
    local children = io.open("/proc/self/task/" .. C.getpid() .. "/children"):read("*a")
    for pid in children:gmatch("%d+") do if tonumber(pid) ~= producer then writerPid = pid end end
  end
  if writerPid and got > total / 2 and not writerMemory then writerMemory = memory(writerPid) .. "; shim " .. memory("self") end
  if reading == false then reading = true loop:add(fds[0], 1, onReady) end
end)
loop:add(fds[0], 1, onReady)
local before = clock()
loop:run()
local seconds = clock() - before
collectgarbage() collectgarbage()
print(string.format("%5d-byte lines, JIT %s: %4.0f MB/s, %d dropped; before %s; at half time the writer %s; after: shim %s",
  lineBytes, jitMode, got / seconds / 1e6, log.lost.lines, idle, writerMemory, memory("self")))
`;

using module = compileLua("log/index.ts", "wire/loop.ts");
const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), "berth-throughput-"));
for (const [lineBytes, jit] of [
  ["100", "off"],
  ["16384", "off"],
  ["100", "on"],
  ["16384", "on"],
] as const) {
  process.stdout.write(module.run(script, [join(folder, "log"), lineBytes, "1000", jit]));
  rmSync(join(folder, "log"));
}
rmSync(folder, { recursive: true });
