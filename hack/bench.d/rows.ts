/** What a row must keep to: its median a part of a peer's or a value of its own, or its p99 such a value. */
export type Goal =
  | { readonly kind: "ratio"; readonly peer: string; readonly most: number }
  | { readonly kind: "value"; readonly most: number }
  | { readonly kind: "p99"; readonly most: number };

/** One line of the table: something measured of every runtime, less being better. */
export interface Row {
  /** As `--only` names it. */
  readonly name: string;
  readonly title: string;
  readonly unit: "ms" | "MB" | "s" | "1/s" | "1";
  /** The part of the run that measures it. */
  readonly phase: Phase;
  readonly goal?: Goal;
}

/** Parts of a run, in their order. */
export type Phase = "life" | "ports" | "many" | "memory" | "pulls" | "lists";

const ofContainerd = (denominator: number): Goal => partOfContainerd(1 / denominator);

const partOfContainerd = (most: number): Goal => ({ kind: "ratio", peer: "containerd-runc", most });

const pullWall = partOfContainerd(0.6);
const pullCpu = partOfContainerd(0.7);
/** What a daemon may have in use while it pulls. */
const pullMegabytes = 150;
/** Requests for an image that is there already. */
const pullTrips = 3;

/** Time, CPU time and memory of pulling one image. */
function ofPull(name: string, title: string, goals: { readonly wall?: Goal; readonly cpu?: Goal }): Row[] {
  const row = { phase: "pulls" } as const;
  return [
    { ...row, name: `pull-${name}`, title, unit: "ms", ...(goals.wall && { goal: goals.wall }) },
    {
      ...row,
      name: `pull-${name}-cpu`,
      title: "CPU time of the same",
      unit: "ms",
      ...(goals.cpu && { goal: goals.cpu }),
    },
    {
      ...row,
      name: `pull-${name}-memory`,
      title: "the daemon's peak memory meanwhile",
      unit: "MB",
      goal: { kind: "value", most: pullMegabytes },
    },
  ];
}

/** Pss of one shim with 50 alive, and what work may add to it. */
const shimMegabytes = 0.6;
const shimGrowth = 1.1;

/** What 99 of 100 lists of 500 must keep to. */
const listMs = 20;

/** Every row, in the table's order. MB is 10^6 bytes. */
export const rows: readonly Row[] = [
  { name: "run-pod", title: "RunPodSandbox", unit: "ms", phase: "life", goal: ofContainerd(8) },
  { name: "create", title: "CreateContainer", unit: "ms", phase: "life" },
  { name: "start", title: "StartContainer", unit: "ms", phase: "life" },
  {
    name: "create-start",
    title: "CreateContainer + StartContainer",
    unit: "ms",
    phase: "life",
    goal: ofContainerd(6),
  },
  { name: "exec", title: "ExecSync of true", unit: "ms", phase: "life", goal: ofContainerd(8) },
  { name: "stop", title: "StopContainer, ends on SIGTERM", unit: "ms", phase: "life" },
  { name: "remove", title: "RemoveContainer", unit: "ms", phase: "life" },
  { name: "stop-pod", title: "StopPodSandbox", unit: "ms", phase: "life", goal: ofContainerd(6) },
  { name: "remove-pod", title: "RemovePodSandbox", unit: "ms", phase: "life" },
  {
    name: "run-pod-port",
    title: "RunPodSandbox, a port of the host",
    unit: "ms",
    phase: "ports",
    goal: ofContainerd(8),
  },
  {
    name: "stop-pod-port",
    title: "StopPodSandbox of the same",
    unit: "ms",
    phase: "ports",
    goal: ofContainerd(6),
  },
  {
    name: "crowd-port",
    title: "RunPodSandbox of 100, 10 at a time, each",
    unit: "ms",
    phase: "ports",
    goal: ofContainerd(5),
  },
  { name: "many-wall", title: "a pod with a container, of 50 in a row", unit: "ms", phase: "many" },
  { name: "many-cpu", title: "CPU time of the same", unit: "ms", phase: "many" },
  {
    name: "shim-rest",
    title: "Pss of a shim, 50 alive, at rest",
    unit: "MB",
    phase: "memory",
    goal: { kind: "value", most: shimMegabytes },
  },
  {
    name: "shim-execs",
    title: "Pss of a shim after 100 execs",
    unit: "MB",
    phase: "memory",
    goal: { kind: "value", most: shimMegabytes * shimGrowth },
  },
  { name: "shim-logging", title: "Pss of a shim that writes much log", unit: "MB", phase: "memory" },
  {
    name: "shim-log",
    title: "Pss of a shim 15 s after that",
    unit: "MB",
    phase: "memory",
    goal: { kind: "value", most: shimMegabytes * shimGrowth },
  },
  { name: "log-wall", title: "that log, until all is written", unit: "s", phase: "memory" },
  { name: "log-cpu", title: "CPU time of the same", unit: "s", phase: "memory" },
  ...ofPull("small", "PullImage of 1 MB", { wall: pullWall }),
  ...ofPull("large", "PullImage of 300 MB, six layers", { wall: pullWall, cpu: pullCpu }),
  ...ofPull("files", "PullImage of 20,000 small files", { wall: pullWall }),
  ...ofPull("layers", "PullImage of twenty layers", {}),
  { name: "pull-here", title: "PullImage of what is there", unit: "ms", phase: "pulls" },
  {
    name: "pull-here-trips",
    title: "requests to the registry for it",
    unit: "1",
    phase: "pulls",
    goal: { kind: "value", most: pullTrips },
  },
  { name: "list-500", title: "ListContainers of 500", unit: "ms", phase: "lists" },
  { name: "pods-500", title: "ListPodSandbox of 500", unit: "ms", phase: "lists" },
  {
    name: "list-500-busy",
    title: "ListContainers of 500, pods come and go",
    unit: "ms",
    phase: "lists",
    goal: { kind: "p99", most: listMs },
  },
  {
    name: "pods-500-busy",
    title: "ListPodSandbox of 500, pods come and go",
    unit: "ms",
    phase: "lists",
    goal: { kind: "p99", most: listMs },
  },
  { name: "list-churn", title: "pods that came and went meanwhile", unit: "1/s", phase: "lists" },
];
