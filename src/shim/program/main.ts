import { nowNanos } from "./ffi/time.ts";

print(nowNanos());
