export { jsonCodec, type Codec } from "./codec.ts";
export { openStore, type Durability, type Store, type Table, type Write } from "./store.ts";
