-- Tries what the runtime asks of a kernel, each in a child of its own, and prints one line a feature:
--   <name> ok | <name> no: <why>
-- Run with luajit as root on a host whose state may be thrown away: test/vm/run luajit test/vm/features.lua
-- Numbers are those of x86-64, from asm/unistd_64.h and the headers named beside them.
local ffi, bit = require("ffi"), require("bit")
ffi.cdef([[
long syscall(long number, ...);
int open(const char *path, int flags, ...); int close(int fd); long read(int fd, void *data, size_t count);
long write(int fd, const void *data, size_t count); int pipe(int *fds);
int fork(void); int waitpid(int pid, int *status, int options); void _exit(int status); int getpid(void); int getppid(void);
int kill(int pid, int signal); int unshare(int flags); int setns(int fd, int type); int pause(void);
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int execve(const char *path, char *const *argv, char *const *envp);
char *strerror(int code);
typedef struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } clone_args;
typedef struct { uint64_t flags, mode, resolve; } open_how;
typedef struct { uint64_t attr_set, attr_clr, propagation, userns_fd; } mount_attr;
typedef struct { uint16_t code; uint8_t jt, jf; uint32_t k; } sock_filter;
typedef struct { uint16_t len; sock_filter *filter; } sock_fprog;
typedef struct { uint32_t type, insn_cnt; uint64_t insns, license; uint32_t log_level, log_size; uint64_t log_buf; uint32_t kern_version, prog_flags; char rest[64]; } bpf_load;
typedef struct { uint32_t target_fd, prog_fd, attach_type, flags; char rest[112]; } bpf_attach;
]])
local C = ffi.C
local L = function(n) return ffi.cast("long", n) end
local AT_FDCWD = L(-100)

local function check(result, what)
  if tonumber(result) < 0 then error(what .. ": " .. ffi.string(C.strerror(ffi.errno())), 0) end
  return tonumber(result)
end
local function sys(what, number, ...) return check(C.syscall(L(number), ...), what) end
local function sh(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; echo :$?"))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.-)%s*:(%d+)%s*$")
  if status ~= "0" then error(((output:match("[^\n]+") or "status " .. status)), 0) end
  return output
end
local function read_file(path)
  local file, why = io.open(path)
  if not file then error(why, 0) end
  local text = file:read("*a")
  file:close()
  return text
end
local function write_file(path, text)
  local fd = check(C.open(path, 1), path)
  local written = C.write(fd, text, #text)
  local code = ffi.errno()
  C.close(fd)
  if written < 0 then error(path .. ": " .. ffi.string(C.strerror(code)), 0) end
end
local function wait(pid)
  local status = ffi.new("int[1]")
  check(C.waitpid(pid, status, 0), "waitpid")
  return status[0]
end
local function child(body)
  local pid = check(C.fork(), "fork")
  if pid == 0 then
    local fine = pcall(body)
    C._exit(fine and 0 or 1)
  end
  return pid
end
local function own_mounts()
  check(C.unshare(0x00020000), "unshare mount") -- CLONE_NEWNS
  check(C.mount("none", "/", nil, 0x44000, nil), "make / private") -- MS_REC | MS_PRIVATE
end
local function cgroup(name)
  local path = "/sys/fs/cgroup/berth-features-" .. name
  sh("mkdir -p " .. path)
  return path
end
local function expect(condition, why) if not condition then error(why, 0) end end
local function filter_of(instructions)
  local filter = ffi.new("sock_filter[?]", #instructions)
  for i, one in ipairs(instructions) do filter[i - 1] = ffi.new("sock_filter", one) end
  local program = ffi.new("sock_fprog")
  program.len, program.filter = #instructions, filter
  return program, filter
end

local features = {}
local function feature(name, body) features[#features + 1] = { name, body } end

for _, controller in ipairs({ "cpu", "io", "memory", "pids", "cpuset", "hugetlb" }) do
  feature("cgroup2 " .. controller, function()
    local all = " " .. read_file("/sys/fs/cgroup/cgroup.controllers"):gsub("%s", " ")
    expect(all:find(" " .. controller .. " ", 1, true), "not among" .. all)
  end)
end
feature("cgroup.kill", function()
  local path = cgroup("kill")
  local pid = child(function() while true do C.pause() end end)
  write_file(path .. "/cgroup.procs", tostring(pid))
  write_file(path .. "/cgroup.kill", "1")
  expect(bit.band(wait(pid), 127) == 9, "the process was not killed")
  sh("rmdir " .. path)
end)
feature("cgroup.freeze", function()
  local path = cgroup("freeze")
  write_file(path .. "/cgroup.freeze", "1")
  expect(read_file(path .. "/cgroup.events"):find("frozen 1", 1, true), "not frozen")
  sh("rmdir " .. path)
end)
feature("pids.max refuses a fork", function()
  local path = cgroup("pids")
  write_file(path .. "/pids.max", "1")
  write_file(path .. "/cgroup.procs", "0")
  local pid = C.fork()
  if pid == 0 then C._exit(0) end
  expect(pid < 0, "a second process started")
  expect(read_file(path .. "/pids.events"):find("max 1", 1, true), "not counted in pids.events")
end)
feature("memory.max ends in an OOM kill", function()
  local path = cgroup("memory")
  write_file(path .. "/memory.max", "16M")
  local pid = child(function()
    write_file(path .. "/cgroup.procs", "0")
    local kept = {}
    for i = 1, 64 do kept[i] = ("x"):rep(1048576) .. i end
  end)
  expect(bit.band(wait(pid), 127) == 9, "64 MiB fitted into 16")
  expect(read_file(path .. "/memory.events"):find("oom_kill 1", 1, true), "not counted in memory.events")
  sh("rmdir " .. path)
end)
feature("memory.oom.group", function() read_file(cgroup("group") .. "/memory.oom.group") end)
feature("memory.peak", function() read_file(cgroup("peak") .. "/memory.peak") end)
feature("cpu.max and cpu.weight", function()
  local path = cgroup("cpu")
  write_file(path .. "/cpu.max", "20000 100000")
  write_file(path .. "/cpu.weight", "50")
  local pid = child(function()
    write_file(path .. "/cgroup.procs", "0")
    local limit = os.time() + 2
    while os.time() < limit do end
  end)
  wait(pid)
  local throttled = tonumber(read_file(path .. "/cpu.stat"):match("nr_throttled (%d+)"))
  expect(throttled and throttled > 0, "nothing was throttled")
  sh("rmdir " .. path)
end)
feature("io.max", function()
  write_file(cgroup("io") .. "/io.max", sh("cat /sys/block/ubda/dev") .. " wbps=1048576")
end)
feature("pressure (PSI)", function() read_file("/proc/pressure/cpu") end)
feature("bpf: cgroup device program", function()
  local path = cgroup("device")
  local code = ffi.new("uint64_t[2]", { 0xb7, 0x95 }) -- r0 = 0; exit: refuse every device
  local load = ffi.new("bpf_load")
  local license = ffi.new("char[4]", "GPL")
  load.type, load.insn_cnt = 15, 2 -- BPF_PROG_TYPE_CGROUP_DEVICE
  load.insns = ffi.cast("uint64_t", ffi.cast("uintptr_t", code))
  load.license = ffi.cast("uint64_t", ffi.cast("uintptr_t", license))
  local program = sys("bpf load", 321, L(5), load, L(112))
  local attach = ffi.new("bpf_attach")
  attach.target_fd = check(C.open(path, 0), path)
  attach.prog_fd, attach.attach_type, attach.flags = program, 6, 2 -- BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI
  sys("bpf attach", 321, L(8), attach, L(16))
  write_file(path .. "/cgroup.procs", "0")
  expect(C.open("/dev/null", 0) < 0, "/dev/null could still be opened")
end)
feature("clone3 with CLONE_INTO_CGROUP", function()
  local path = cgroup("clone")
  local arguments = ffi.new("clone_args")
  arguments.flags, arguments.exit_signal = 0x200000000ULL, 17
  arguments.cgroup = check(C.open(path, 0x10000), path)
  local pid = sys("clone3", 435, arguments, L(88))
  if pid == 0 then while true do C.pause() end end
  local where = read_file("/proc/" .. pid .. "/cgroup")
  C.kill(pid, 9)
  wait(pid)
  expect(where:find("berth-features-clone", 1, true), "the child is in " .. where)
  sh("rmdir " .. path)
end)

local function overlay_folders()
  own_mounts()
  check(C.mount("tmpfs", "/mnt", "tmpfs", 0, nil), "mount tmpfs")
  sh("mkdir /mnt/a /mnt/b /mnt/u /mnt/w /mnt/m; echo 1 >/mnt/a/one; echo 2 >/mnt/b/two")
end
feature("overlay, upper on tmpfs, volatile", function()
  overlay_folders()
  check(C.mount("o", "/mnt/m", "overlay", 0, "lowerdir=/mnt/a:/mnt/b,upperdir=/mnt/u,workdir=/mnt/w,volatile"), "mount")
  sh("cat /mnt/m/one /mnt/m/two && rm /mnt/m/one && test -c /mnt/u/one")
end)
feature("overlay, upper on the root disk", function()
  own_mounts()
  sh("mkdir -p /var/f/a /var/f/u /var/f/w /var/f/m && chown 1 /var/f/a")
  check(C.mount("o", "/var/f/m", "overlay", 0, "lowerdir=/var/f/a,upperdir=/var/f/u,workdir=/var/f/w,volatile"), "mount")
  sh("touch /var/f/m/x && test -e /var/f/u/x")
end)
feature("overlay, lowerdir+ through fsconfig", function()
  overlay_folders()
  local context = sys("fsopen", 430, ffi.cast("const char *", "overlay"), L(0))
  for _, pair in ipairs({ { "lowerdir+", "/mnt/a" }, { "lowerdir+", "/mnt/b" } }) do
    sys("fsconfig " .. pair[1], 431, L(context), L(1), ffi.cast("const char *", pair[1]), ffi.cast("const char *", pair[2]), L(0))
  end
  sys("fsconfig create", 431, L(context), L(6), L(0), L(0), L(0))
  local tree = sys("fsmount", 432, L(context), L(0), L(0))
  sys("move_mount", 429, L(tree), ffi.cast("const char *", ""), AT_FDCWD, ffi.cast("const char *", "/mnt/m"), L(4))
  sh("cat /mnt/m/one /mnt/m/two")
end)
feature("overlay in a user namespace", function()
  overlay_folders()
  sh("unshare -Urm mount -t overlay o -o lowerdir=/mnt/a,upperdir=/mnt/u,workdir=/mnt/w,userxattr /mnt/m")
end)
feature("open_tree and move_mount", function()
  own_mounts()
  local tree = sys("open_tree", 428, AT_FDCWD, ffi.cast("const char *", "/etc"), L(0x80001)) -- OPEN_TREE_CLONE | CLOEXEC
  sys("move_mount", 429, L(tree), ffi.cast("const char *", ""), AT_FDCWD, ffi.cast("const char *", "/mnt"), L(4))
  read_file("/mnt/hostname")
end)
local function set_attributes(path, flags, set, userns)
  local attributes = ffi.new("mount_attr")
  attributes.attr_set, attributes.userns_fd = set, userns or 0
  sys("mount_setattr", 442, L(path.fd or -100), ffi.cast("const char *", path.name), L(flags), attributes, L(32))
end
feature("mount_setattr, recursively read-only", function()
  own_mounts()
  check(C.mount("tmpfs", "/mnt", "tmpfs", 0, nil), "mount tmpfs")
  sh("mkdir /mnt/below && mount -t tmpfs tmpfs /mnt/below")
  set_attributes({ name = "/mnt" }, 0x8000, 1) -- AT_RECURSIVE, MOUNT_ATTR_RDONLY
  expect(not io.open("/mnt/below/file", "w"), "the mount below stayed writable")
end)
local function idmapped_clone(path)
  local pid = child(function() check(C.unshare(0x10000000), "unshare") while true do C.pause() end end) -- CLONE_NEWUSER
  sh("sleep 0.1; echo 0 100000 65536 >/proc/" .. pid .. "/uid_map; echo 0 100000 65536 >/proc/" .. pid .. "/gid_map")
  local userns = check(C.open("/proc/" .. pid .. "/ns/user", 0), "ns/user")
  local tree = sys("open_tree", 428, AT_FDCWD, ffi.cast("const char *", path), L(0x80001))
  local fine, why = pcall(set_attributes, { fd = tree, name = "" }, 0x1000, 0x100000, userns) -- AT_EMPTY_PATH, MOUNT_ATTR_IDMAP
  C.kill(pid, 9)
  wait(pid)
  expect(fine, why)
  return tree
end
feature("idmapped mount, tmpfs", function()
  overlay_folders()
  idmapped_clone("/mnt")
end)
feature("idmapped mount, root disk", function() idmapped_clone("/opt") end)
feature("overlay over an idmapped layer", function()
  overlay_folders()
  local tree = idmapped_clone("/mnt/a")
  sh("mkdir /mnt/mapped")
  sys("move_mount", 429, L(tree), ffi.cast("const char *", ""), AT_FDCWD, ffi.cast("const char *", "/mnt/mapped"), L(4))
  check(C.mount("o", "/mnt/m", "overlay", 0, "lowerdir=/mnt/mapped,upperdir=/mnt/u,workdir=/mnt/w"), "mount")
  expect(sh("stat -c %u /mnt/m/one") == "100000", "the owner is not mapped")
end)
feature("statmount and listmount", function()
  local request = ffi.new("uint64_t[4]", { 24, 0xffffffffffffffffULL, 0 })
  ffi.cast("uint32_t *", request)[0] = 24
  sys("listmount", 458, request, ffi.new("uint64_t[16]"), L(16), L(0))
end)
feature("openat2 with RESOLVE_IN_ROOT", function()
  local how = ffi.new("open_how")
  how.flags, how.resolve = 0x200000, 0x10
  sys("openat2", 437, L(check(C.open("/usr", 0x10000), "/usr")), ffi.cast("const char *", "../bin/luajit"), how, L(24))
end)
feature("pidfd_open, pidfd_send_signal, setns of a pidfd", function()
  local pid = child(function() check(C.unshare(0x4c020000), "unshare") while true do C.pause() end end) -- NEWNS|NEWNET|NEWIPC|NEWUTS
  sh("sleep 0.2")
  local pidfd = sys("pidfd_open", 434, L(pid), L(0))
  check(C.setns(pidfd, 0x4c020000), "setns")
  expect(sh("readlink /proc/self/ns/net") == sh("readlink /proc/" .. pid .. "/ns/net"), "another network namespace")
  sys("pidfd_send_signal", 424, L(pidfd), L(9), L(0), L(0))
  expect(bit.band(wait(pid), 127) == 9, "not killed")
end)
feature("user namespace", function() expect(sh("unshare -Ur id -u") == "0", "not mapped") end)
feature("all namespaces at once", function() sh("unshare -Ur -m -p -f -i -u -n -C --mount-proc true") end)
feature("time namespace", function() sh("unshare -T true") end)
feature("seccomp filter", function()
  expect(C.prctl(38, 1, 0, 0, 0) == 0, "no_new_privs") -- PR_SET_NO_NEW_PRIVS
  local program = filter_of({ { 0x20, 0, 0, 0 }, { 0x15, 0, 1, 110 }, { 6, 0, 0, 0x50000 + 38 }, { 6, 0, 0, 0x7fff0000 } }) -- getppid -> ENOSYS
  sys("seccomp", 317, L(1), L(0), program)
  expect(tonumber(C.syscall(L(110))) == -1 and ffi.errno() == 38, "the filter lets the call pass")
  expect(C.getpid() > 0, "the filter stops other calls")
end)
feature("seccomp user notification", function()
  expect(C.prctl(38, 1, 0, 0, 0) == 0, "no_new_privs")
  sys("seccomp", 317, L(1), L(8), (filter_of({ { 6, 0, 0, 0x7fff0000 } }))) -- SECCOMP_FILTER_FLAG_NEW_LISTENER
end)
feature("close_range", function() sys("close_range", 436, L(100), L(200), L(0)) end)
feature("execution of a sealed memfd", function()
  local fd = sys("memfd_create", 319, ffi.cast("const char *", "features"), L(2)) -- MFD_ALLOW_SEALING
  local text = read_file("/bin/true")
  expect(tonumber(C.write(fd, text, #text)) == #text, "short write")
  sys("fcntl", 72, L(fd), L(1033), L(15)) -- F_ADD_SEALS, all of them
  local argv = ffi.new("const char *[2]")
  argv[0] = "true"
  local pid = child(function()
    C.execve("/proc/self/fd/" .. fd, ffi.cast("char *const *", argv), ffi.cast("char *const *", argv + 1))
    error("execve")
  end)
  expect(wait(pid) == 0, "execve failed")
end)
feature("session keyring", function() sys("keyctl", 250, L(1), ffi.cast("const char *", "features"), L(0)) end) -- KEYCTL_JOIN_SESSION_KEYRING
feature("lowering oom_score_adj", function() write_file("/proc/self/oom_score_adj", "-900") end)
feature("PR_SET_MDWE", function() expect(C.prctl(65, 1, 0, 0, 0) == 0, ffi.string(C.strerror(ffi.errno()))) end)
feature("io_uring", function() sys("io_uring_setup", 425, L(4), ffi.new("char[256]")) end)
feature("landlock", function() sys("landlock_create_ruleset", 444, L(0), L(0), L(1)) end)
feature("veth and bridge", function()
  check(C.unshare(0x40000000), "unshare net")
  sh("ip link add name v0 type veth peer name v1 && ip link add name br0 type bridge && ip link set v1 master br0 " ..
    "&& ip address add 10.9.0.1/24 dev br0 && ip link set br0 up && ip link set v1 up && ip link set v0 up")
end)
feature("loop device", function() sh("modprobe loop; truncate -s 1M /tmp/loop; losetup -d $(losetup --show -f /tmp/loop)") end)
for _, family in ipairs({ "ip", "ip6", "inet", "bridge", "netdev" }) do
  feature("nf_tables, family " .. family, function()
    check(C.unshare(0x40000000), "unshare net")
    sh("nft add table " .. family .. " berth")
  end)
end
feature("traffic control: tbf, ingress", function()
  check(C.unshare(0x40000000), "unshare net")
  sh("ip link add name v0 type veth peer name v1; tc qdisc add dev v0 root tbf rate 1mbit burst 32k latency 50ms && tc qdisc add dev v0 ingress")
end)
feature("apparmor, enabled", function()
  expect(read_file("/sys/module/apparmor/parameters/enabled"):sub(1, 1) == "Y", "disabled")
end)
feature("apparmor, a profile denies", function()
  local file = assert(io.open("/tmp/profile", "w"))
  file:write("profile berth-features flags=(attach_disconnected) { file, deny /etc/hostname r, }\n")
  file:close()
  sh("apparmor_parser -r -K /tmp/profile && aa-exec -p berth-features -- cat /etc/hosts")
  expect(not pcall(sh, "aa-exec -p berth-features -- cat /etc/hostname"), "the denied file could be read")
end)
feature("selinux, enabled", function() read_file("/sys/fs/selinux/enforce") end)

for _, one in ipairs(features) do
  local fds = ffi.new("int[2]")
  check(C.pipe(fds), "pipe")
  local pid = check(C.fork(), "fork")
  if pid == 0 then
    local fine, why = pcall(one[2])
    local line = one[1] .. (fine and " ok\n" or " no: " .. tostring(why) .. "\n")
    C.write(fds[1], line, #line)
    C._exit(0)
  end
  C.close(fds[1])
  local status, text, buffer = wait(pid), {}, ffi.new("char[4096]")
  local count = C.read(fds[0], buffer, 4096)
  C.close(fds[0])
  io.write(count > 0 and ffi.string(buffer, count) or one[1] .. " no: the probe ended with status " .. status .. "\n")
  io.flush()
end
