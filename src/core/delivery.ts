/**
 * Whether anybody was given the id of what a request made. Written before the answer goes out, so that what a caller may
 * know of is never taken back; what nobody knows of is in no list, and is undone when no retry comes for it. Absent in
 * records of earlier builds: delivered.
 */
export type Delivery = "unclaimed" | "delivered";
