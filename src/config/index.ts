export { defaultConfigFile, helpText, readInvocation, type Invocation } from "./config.ts";
export { flagOf, settings, type Config } from "./settings.ts";
