import type { Shape } from "./shape.ts";
import {
  absolutePath,
  anything,
  count,
  flag,
  id,
  integer,
  limit,
  list,
  mapOf,
  nonEmptyText,
  object,
  oneOf,
  required,
  text,
  unsupported,
} from "./shape.ts";

const port = integer(0, 4294967295);
const deviceNumber = integer(-1, 4294967295);

const idMapping = object({
  containerID: required(integer(0, 4294967295)),
  hostID: required(integer(0, 4294967295)),
  size: required(integer(1, 4294967295)),
});

const capabilityNames = list(nonEmptyText);

/** `process`, of a container and of an exec alike. */
export const processShape: Shape = object({
  terminal: flag,
  consoleSize: object({ height: required(integer(0, 65535)), width: required(integer(0, 65535)) }),
  cwd: required(absolutePath),
  env: list(text),
  args: required(list(text)),
  commandLine: unsupported,
  rlimits: list(object({ type: required(nonEmptyText), soft: required(limit), hard: required(limit) })),
  apparmorProfile: text,
  capabilities: object({
    bounding: capabilityNames,
    effective: capabilityNames,
    inheritable: capabilityNames,
    permitted: capabilityNames,
    ambient: capabilityNames,
  }),
  noNewPrivileges: flag,
  oomScoreAdj: integer(-1000, 1000),
  scheduler: object({
    policy: required(nonEmptyText),
    nice: integer(-20, 19),
    priority: integer(0, 99),
    flags: list(nonEmptyText),
    runtime: count,
    deadline: count,
    period: count,
  }),
  selinuxLabel: text,
  ioPriority: object({ class: required(nonEmptyText), priority: required(integer(0, 7)) }),
  execCPUAffinity: object({ initial: text, final: text }),
  user: required(
    object({
      uid: required(id),
      gid: required(id),
      umask: integer(0, 511),
      additionalGids: list(id),
      username: unsupported,
    }),
  ),
});

const hookList = list(
  object({ path: required(absolutePath), args: list(text), env: list(text), timeout: integer(1, 86400) }),
);

const throttle = list(object({ major: required(count), minor: required(count), rate: required(count) }));

/** `linux.resources`, of a container and of an update alike. */
export const resourcesShape: Shape = object({
  devices: list(
    object({
      allow: required(flag),
      type: oneOf("a", "c", "b"),
      major: deviceNumber,
      minor: deviceNumber,
      access: text,
    }),
  ),
  memory: object({
    limit,
    reservation: limit,
    swap: limit,
    kernel: limit,
    kernelTCP: limit,
    swappiness: integer(0, 200),
    disableOOMKiller: flag,
    useHierarchy: flag,
    checkBeforeUpdate: flag,
  }),
  cpu: object({
    shares: count,
    quota: limit,
    burst: count,
    period: count,
    realtimeRuntime: limit,
    realtimePeriod: count,
    cpus: text,
    mems: text,
    idle: integer(-1, 1),
  }),
  pids: object({ limit: required(limit) }),
  blockIO: object({
    weight: integer(0, 1000),
    leafWeight: integer(0, 1000),
    weightDevice: list(
      object({ major: required(count), minor: required(count), weight: count, leafWeight: count }),
    ),
    throttleReadBpsDevice: throttle,
    throttleWriteBpsDevice: throttle,
    throttleReadIOPSDevice: throttle,
    throttleWriteIOPSDevice: throttle,
  }),
  hugepageLimits: list(object({ pageSize: required(nonEmptyText), limit: required(limit) })),
  network: object({
    classID: port,
    priorities: list(object({ name: required(nonEmptyText), priority: required(port) })),
  }),
  rdma: mapOf(object({ hcaHandles: count, hcaObjects: count })),
  unified: mapOf(text),
});

const seccompShape = object({
  defaultAction: required(nonEmptyText),
  defaultErrnoRet: count,
  architectures: list(nonEmptyText),
  flags: list(nonEmptyText),
  listenerPath: unsupported,
  listenerMetadata: unsupported,
  // The daemon compiles the rules; the shim loads what was made of them.
  syscalls: list(anything),
});

const linuxShape = object({
  devices: list(
    object({
      type: required(oneOf("c", "b", "u", "p")),
      path: required(absolutePath),
      major: deviceNumber,
      minor: deviceNumber,
      fileMode: integer(0, 4095),
      uid: id,
      gid: id,
    }),
  ),
  uidMappings: list(idMapping),
  gidMappings: list(idMapping),
  namespaces: list(
    object({
      type: required(oneOf("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")),
      path: absolutePath,
    }),
  ),
  sysctl: mapOf(text),
  cgroupsPath: absolutePath,
  resources: resourcesShape,
  rootfsPropagation: oneOf(
    "shared",
    "slave",
    "private",
    "unbindable",
    "rshared",
    "rslave",
    "rprivate",
    "runbindable",
    "",
  ),
  seccomp: seccompShape,
  maskedPaths: list(absolutePath),
  readonlyPaths: list(absolutePath),
  mountLabel: text,
  intelRdt: unsupported,
  memoryPolicy: unsupported,
  netDevices: unsupported,
  personality: object({ domain: required(oneOf("LINUX", "LINUX32")), flags: list(unsupported) }),
  timeOffsets: mapOf(object({ secs: limit, nanosecs: integer(0, 999999999) })),
});

/** The whole of config.json (OCI runtime spec 1.2); what is not named here is refused. */
export const specShape: Shape = object({
  ociVersion: required(nonEmptyText),
  root: required(object({ path: required(nonEmptyText), readonly: flag })),
  hostname: text,
  domainname: text,
  process: required(processShape),
  mounts: list(
    object({
      destination: required(absolutePath),
      type: text,
      source: text,
      options: list(text),
      uidMappings: list(idMapping),
      gidMappings: list(idMapping),
    }),
  ),
  hooks: object({
    prestart: hookList,
    createRuntime: hookList,
    createContainer: hookList,
    startContainer: hookList,
    poststart: hookList,
    poststop: hookList,
  }),
  annotations: mapOf(text),
  linux: required(linuxShape),
  solaris: unsupported,
  windows: unsupported,
  vm: unsupported,
  zos: unsupported,
});
