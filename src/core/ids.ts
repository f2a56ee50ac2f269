import { randomBytes } from "node:crypto";
import { RuntimeError } from "./errors.ts";

declare const podBrand: unique symbol;
declare const containerBrand: unique symbol;

/** 64 lower-case hex digits that name a pod; made by {@link newPodId} or {@link parsePodId} only. */
export type PodId = string & { readonly [podBrand]: true };

/** 64 lower-case hex digits that name a container; made by {@link newContainerId} or {@link parseContainerId} only. */
export type ContainerId = string & { readonly [containerBrand]: true };

const fullId = /^[0-9a-f]{64}$/;

/** A fresh random id of 256 bits. */
export function newPodId(): PodId {
  return randomBytes(32).toString("hex") as PodId;
}

/** A fresh random id of 256 bits. */
export function newContainerId(): ContainerId {
  return randomBytes(32).toString("hex") as ContainerId;
}

/** Reads a full pod id, as stored or as found in a path; throws `invalid-argument`. */
export function parsePodId(text: string): PodId {
  if (!fullId.test(text)) throw new RuntimeError("invalid-argument", `not a pod id: ${JSON.stringify(text)}`);
  return text as PodId;
}

/** Reads a full container id, as stored or as found in a path; throws `invalid-argument`. */
export function parseContainerId(text: string): ContainerId {
  if (!fullId.test(text)) {
    throw new RuntimeError("invalid-argument", `not a container id: ${JSON.stringify(text)}`);
  }
  return text as ContainerId;
}
