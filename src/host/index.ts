export { readBootId, readHostFacts } from "./facts.ts";
export { checkHost, missingNecessities, type HostCheck, type HostChecks } from "./kernel-checks.ts";
