export { applyProfile, type MachineArch, type SeccompProfile } from "./profile.ts";
export { defaultProfile } from "./default-profile.ts";
export { maxSeccompProfileBytes, parseSeccompProfile } from "./parse-profile.ts";
export { type SeccompFacts, type SeccompProfiles } from "./section.ts";
