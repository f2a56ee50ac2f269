export { readBootId, readHostFacts } from "./facts.ts";
export { tryFeatures, type HostFeatures } from "./self-test.ts";
export { chooseSnapshotter, type ChosenSnapshotter } from "./snapshotter.ts";
export { checkHost, missingNecessities, type HostCheck, type HostChecks } from "./kernel-checks.ts";
