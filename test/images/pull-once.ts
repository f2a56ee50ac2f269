/** Pulls one image into the store below a folder, with {@link arm} of die-at-call.ts: `pull-once.ts FOLDER REFERENCE`. */
import { join } from "node:path";
import { openImages } from "../../src/images/index.ts";
import { openStore, type Store } from "../../src/store/index.ts";
import { arm, pass } from "./die-at-call.ts";
import { luajit, testJob, unpacker } from "./harness.ts";

const [folder = "", reference = ""] = process.argv.slice(2);
const records = await openStore(join(folder, "store"));
const store: Store = {
  ...records,
  write: (writes, durability) => {
    pass(`record ${writes.length}`);
    return records.write(writes, durability);
  },
};
const images = await openImages({
  root: join(folder, "root"),
  store,
  luajit,
  unpacker,
  maxLayerBytes: 1e9,
  insecureRegistries: [],
  pinned: [],
  keepBlobs: "all",
  onDamaged: (what) => {
    throw new Error(`damaged: ${what}`);
  },
});
await arm(folder);
await images.pull({ reference, job: testJob(), signal: new AbortController().signal });
pass("answer");
await images.close();
await records.close();
