import { launcherMode } from "../protocol/launch.ts";
import { runLauncher } from "./launcher/launcher.ts";
import { runSealed } from "./launcher/seal.ts";
import { warmClasses } from "./launcher/warm-classes.ts";

declare const arg: Record<number, string | undefined>;

// The default search path starts with the working folder; nothing is loaded from now on, and nothing from there.
const loader = (_G as unknown as Record<string, { path: string; cpath: string }>)["package"];
if (loader !== undefined) {
  loader.path = "";
  loader.cpath = "";
}
// With the JIT off nothing needs memory that is both writable and executable (PR_SET_MDWE, SELinux execmem).
jit.off();

const usage = "usage: luajit berth-shim.lua launcher <folder> <build>";

function main(): void {
  const [bundle, mode, folder, build] = [arg[0], arg[1], arg[2], arg[3]];
  if (bundle === undefined || mode !== launcherMode || folder === undefined || build === undefined) {
    print(usage);
    os.exit(2);
  }
  runSealed(bundle, [mode, folder, build]);
  warmClasses(runLauncher);
  // Collected once, then never in a process that lives shortly: marking would unshare every page of the heap.
  collectgarbage("collect");
  collectgarbage("stop");
  runLauncher(folder, build);
}

main();
