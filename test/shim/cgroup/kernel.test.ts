import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { after, suite, test } from "node:test";
import { type LuaModule, compileLua } from "../support/lua.ts";
import { parseHierarchies, unifiedOf } from "../../../src/shim/program/cgroup/hierarchies.ts";

const hierarchies = parseHierarchies(readFileSync("/proc/self/mountinfo", "utf8"));
const parent = `/berth-test-${process.pid}`;

/** What every script has: the cgroup under test, processes that are born into it, and waiting. */
const prelude = `
local ffi = require("ffi")
ffi.cdef[[int usleep(unsigned us); int setsid(void); int kill(int pid, int sig); int pause(void);]]
local C = ffi.C
local hierarchies = module.discoverHierarchies()
local group = module.openCgroup(${JSON.stringify(`${parent}/c`)}, hierarchies)
local function value(controller, file)
  for _, h in ipairs(hierarchies) do
    for _, name in ipairs(h.controllers) do
      if name == controller then
        local f = io.open(h.mountPoint .. group.path .. "/" .. file)
        local text = f and f:read("*a") f = f and f:close()
        return text
      end
    end
  end
end
-- Forks a process into the cgroup; it runs work, then sleeps.
local function born(entry, work)
  local pid = C.fork()
  if pid == 0 then
    module.enterV1(entry) module.enterV2(entry) module.closeEntry(entry)
    if work then work() end
    while true do C.pause() end
  end
  return pid
end
local function create(group, resources)
  group:make()
  return group:limit(resources)
end
local function reap() while C.waitpid(-1, nil, 0) > 0 do end end
local function eventually(what, condition)
  for _ = 1, 2000 do
    if condition() then return end
    C.usleep(1000)
  end
  error("never: " .. what)
end
`;

function run(module: LuaModule, script: string): string[] {
  return module.run(`${prelude}\n${script}`).trimEnd().split("\n");
}

function leftovers(): string[] {
  return hierarchies
    .map(({ mountPoint }) => `${mountPoint}${parent}/c`)
    .filter((folder) => existsSync(folder));
}

const isRoot = process.getuid?.() === 0;

await suite("cgroup on this kernel", { skip: isRoot ? false : "needs root" }, () => {
  const module = compileLua("cgroup/index.ts");
  after(() => {
    module[Symbol.dispose]();
    for (const { mountPoint } of hierarchies) {
      if (existsSync(`${mountPoint}${parent}`)) rmdirSync(`${mountPoint}${parent}`);
    }
  });

  test("cgroup: exists in every hierarchy, a child is in all of them, nothing is left", () => {
    const [inAll, pids, empty] = run(
      module,
      `
      assert(#create(group, {}) == 0)
      local entry = group:openEntry()
      local pid = born(entry)
      eventually("the child is in", function()
        local text = io.open("/proc/" .. pid .. "/cgroup"):read("*a")
        local lines, inside = 0, 0
        for line in text:gmatch("[^\\n]+") do
          lines = lines + 1
          if line:find(group.path, 1, true) then inside = inside + 1 end
        end
        return inside == lines
      end)
      print("in all")
      print(#group:pids() == 1 and group:pids()[1] == pid)
      group:kill() reap()
      eventually("empty", function() return group:isEmpty() end)
      print("empty")
      module.closeEntry(entry)
      group:remove(2000)`,
    );
    assert.deepEqual([inAll, pids, empty], ["in all", "true", "empty"]);
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: limits arrive, an update keeps the others, a refused one changes nothing", () => {
    const lines = run(
      module,
      `
      local function show()
        print((value("memory", "memory.limit_in_bytes") or value("memory", "memory.max")):match("%d+"),
              value("pids", "pids.max"):match("%S+"))
      end
      create(group, {memory = {limit = 64 * 1048576, swap = 64 * 1048576}, pids = {limit = 20}, cpu = {shares = 512}})
      show()
      group:update({memory = {limit = 128 * 1048576, swap = 128 * 1048576}}) show()
      group:update({memory = {limit = 32 * 1048576, swap = 32 * 1048576}}) show()
      local ok, problem = pcall(group.update, group, {memory = {limit = 48 * 1048576, swap = 48 * 1048576}, pids = {limit = 5000000}})
      print(problem.code, problem.message)
      show()
      group:remove(2000)`,
    );
    assert.deepEqual(lines, ["67108864\t20", "134217728\t20", "33554432\t20", lines[3], "33554432\t20"]);
    assert.match(
      lines[3] ?? "",
      /^invalid-argument\tlinux\.resources\.pids\.limit = 5000000: write .*pids\.max: invalid argument$/,
    );
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: a limit that the kernel refuses is named, and the cgroup can be removed", () => {
    const [code] = run(
      module,
      `local ok, problem = pcall(create, group, {memory = {limit = 33554432}, cpu = {period = 1}}) group:remove(1000) print(problem.code)`,
    );
    assert.equal(code, "invalid-argument");
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: one with processes in it is not taken over, an empty one is made anew", () => {
    const lines = run(
      module,
      `
      create(group, {})
      local entry = group:openEntry()
      local pid = born(entry)
      eventually("in", function() return #group:pids() == 1 end)
      local ok, problem = pcall(create, group, {})
      print(ok, problem.code)
      group:kill() reap()
      eventually("empty", function() return group:isEmpty() end)
      module.closeEntry(entry)
      print(#create(group, {pids = {limit = 7}}), value("pids", "pids.max"):match("%d+"))
      group:remove(2000)`,
    );
    assert.deepEqual(lines, ["false\tfailed-precondition", "0\t7"]);
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: a slot's kill reaches a double-forked session leader, and nobody outside the slot", () => {
    const lines = run(
      module,
      `
      create(group, {})
      local entry = group:openEntry()
      local main = born(entry)
      local slot = group:execSlot()
      local slotEntry = group:openEntry(slot)
      local exec = born(slotEntry, function()
        C.setsid()
        if C.fork() == 0 then C.setsid() C.fork() end
      end)
      eventually("all are there", function() return #group:pids() == 4 end)
      slot:kill()
      eventually("slot is empty", function() C.waitpid(-1, nil, 1) return slot:isEmpty() end)
      print(#group:pids(), group:pids()[1] == main)
      slot:release("killed")
      print(group:execSlot().name)
      group:kill() reap()
      module.closeEntry(entry) module.closeEntry(slotEntry)
      group:remove(2000)`,
    );
    assert.deepEqual(lines, ["1\ttrue", "/x0"]);
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: 32 slots, one that is still in use is passed over", () => {
    const lines = run(
      module,
      `
      create(group, {})
      local first = group:execSlot()
      local entry = group:openEntry(first)
      born(entry)
      eventually("in", function() return not first:isEmpty() end)
      first:release("left")
      print(group:execSlot().name)
      for _ = 2, 31 do group:execSlot() end
      -- 31 are taken, and what was left behind holds the last: no sub-cgroup, but no refusal either.
      print(group:execSlot())
      group:kill() reap()
      eventually("free", function() return first:isEmpty() end)
      group:execSlot()
      local ok, problem = pcall(group.execSlot, group)
      print(ok, problem.code)
      module.closeEntry(entry)
      group:remove(2000)`,
    );
    assert.deepEqual(lines, ["/x1", "nil", "false\tresource-exhausted"]);
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: frozen processes stop, go on, and can be killed while frozen", () => {
    const lines = run(
      module,
      `
      create(group, {})
      local entry = group:openEntry()
      local pid = born(entry, function() local x = 0 while true do x = x + 1 end end)
      eventually("in", function() return #group:pids() == 1 end)
      local function ticks()
        local stat = io.open("/proc/" .. pid .. "/stat"):read("*a"):match("%) (.*)")
        local words = {} for word in stat:gmatch("%S+") do words[#words + 1] = word end
        return tonumber(words[12])
      end
      group:freeze(2000)
      local before = ticks() C.usleep(60000)
      print("frozen", ticks() == before)
      group:thaw()
      eventually("goes on", function() return ticks() > before end)
      group:freeze(2000)
      group:kill() reap()
      eventually("empty", function() return group:isEmpty() end)
      module.closeEntry(entry)
      group:remove(2000)`,
    );
    assert.deepEqual(lines, ["frozen\ttrue"]);
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: the kernel's kill for want of memory is counted", () => {
    const lines = run(
      module,
      `
      create(group, {memory = {limit = 32 * 1048576, swap = 32 * 1048576}})
      print(group:oomKills())
      local entry = group:openEntry()
      local pid = born(entry, function()
        local hoard = {}
        for i = 1, 200 do hoard[i] = ffi.new("uint8_t[?]", 1048576) ffi.fill(hoard[i], 1048576, 1) end
      end)
      reap()
      print(group:oomKills())
      module.closeEntry(entry)
      group:remove(2000)`,
    );
    assert.deepEqual(lines, ["0", "1"]);
    assert.deepEqual(leftovers(), []);
  });

  test("cgroup: removal that cannot succeed names who is in the way; destroy kills and removes", () => {
    const lines = run(
      module,
      `
      create(group, {})
      local entry = group:openEntry()
      local pid = born(entry)
      eventually("in", function() return #group:pids() == 1 end)
      local ok, problem = pcall(group.remove, group, 20)
      print(problem.code, problem.message:find(pid .. " (luajit, S", 1, true) ~= nil)
      module.closeEntry(entry)
      ffi.cdef[[void (*signal(int n, void (*h)(int)))(int);]]
      C.signal(17, ffi.cast("void (*)(int)", 1))
      group:destroy(2000)
      print(group:tryRemove())`,
    );
    assert.deepEqual(lines, ["deadline-exceeded\ttrue", "true"]);
    assert.deepEqual(leftovers(), []);
  });

  const guarded = `${unifiedOf(hierarchies)?.mountPoint ?? ""}${parent}-devices`;
  test(
    "cgroup: the device program guards, and another takes its place",
    { skip: unifiedOf(hierarchies) === undefined },
    () => {
      mkdirSync(guarded);
      using devices = compileLua("cgroup/device-attach.ts");
      const lines = devices
        .run(
          `
        local ffi = require("ffi")
        local folder = ...
        local function try(path, mode)
          io.stdout:flush()
          local pid = ffi.C.fork()
          if pid == 0 then
            local procs = io.open(folder .. "/cgroup.procs", "w") procs:write("0") procs:close()
            local file, problem = io.open(path, mode)
            io.stdout:write(mode, " ", problem or path, "\\n") io.stdout:flush()
            ffi.C._exit(0)
          end
          ffi.C.waitpid(pid, nil, 0)
        end
        local readNull = {{type = "c", major = 1, minor = 3, access = 2}}
        module.attachDevicePolicy(folder, {allowByDefault = false, exceptions = readNull})
        try("/dev/null", "r") try("/dev/null", "w") try("/dev/zero", "r")
        module.attachDevicePolicy(folder, {allowByDefault = true, exceptions = readNull})
        try("/dev/null", "r") try("/dev/null", "w") try("/dev/zero", "r")`,
          [guarded],
        )
        .trimEnd()
        .split("\n");
      rmdirSync(guarded);
      assert.deepEqual(lines, [
        "r /dev/null",
        "w /dev/null: Operation not permitted",
        "r /dev/zero: Operation not permitted",
        "r /dev/null: Operation not permitted",
        "w /dev/null",
        "r /dev/zero",
      ]);
    },
  );
});
