export { HookFiles } from "./hook-files.ts";
