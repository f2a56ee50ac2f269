import { parseDigest, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { ImageProcess } from "../core/image.ts";
import type { Platform } from "./platform.ts";

/** Bytes of a manifest, an index or a config, checked before and while reading (CVE-2023-25153). */
export const maxDocumentBytes = 4 * 1024 * 1024;

/** Layers of one image: what one overlay mount takes, with room for the writable one. */
export const maxLayers = 127;

/** Points at content by digest (OCI image spec, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A manifest, of one image or of an artifact, or an index (a choice of manifests). */
export type Document =
  | { readonly kind: "manifest"; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  | {
      readonly kind: "artifact";
      readonly artifactType: string;
      readonly config: Descriptor;
      readonly layers: readonly Descriptor[];
    }
  | { readonly kind: "index"; readonly manifests: readonly Descriptor[] };

/** What of an image's config the store needs. */
export interface ImageConfig {
  readonly diffIds: readonly Digest[];
  readonly platform: Platform;
  readonly process: ImageProcess;
}

/** Media types asked of a registry, in order of preference. */
export const acceptedTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
] as const;

const indexTypes: readonly string[] = acceptedTypes.slice(0, 2);
const configTypes = [
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
];
const layerTypes =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar(?:\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?)$/;
const foreignTypes = /nondistributable|foreign/;

/** Bytes of an artifact's type, which is shown to people. */
const maxTypeBytes = 255;

/** The process of what is no container image. */
export const noProcess: ImageProcess = {
  entrypoint: [],
  cmd: [],
  env: [],
  workingDir: "",
  user: "",
  volumes: [],
  stopSignal: "",
};

/** True for the media types of tars, compressed or not, that images are made of. */
export function isLayerType(mediaType: string): boolean {
  return layerTypes.test(mediaType);
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a manifest or an index, of OCI or Docker schema 2, by what it holds; `what` names it in errors. A document
 * that its own media type or the server's contradicts is refused.
 */
export function parseDocument(text: string, what: string, servedAs?: string): Document {
  const json = parseJson(text, what);
  const declared = typeof json["mediaType"] === "string" ? json["mediaType"] : undefined;
  if (json["schemaVersion"] !== 2) {
    throw bad(what, `schema version ${String(json["schemaVersion"]).slice(0, 20)} is not supported`);
  }
  const hasManifests = Array.isArray(json["manifests"]);
  const hasLayers = Array.isArray(json["layers"]);
  if (hasManifests === hasLayers) throw bad(what, "it is neither an image manifest nor an index");
  for (const type of [declared, servedAs]) {
    if (type !== undefined && isKnown(type) && indexTypes.includes(type) !== hasManifests) {
      throw bad(what, `it is no ${type}, which it claims to be`);
    }
  }
  if (declared !== undefined && !isKnown(declared))
    throw bad(what, `media type ${declared.slice(0, 100)} is not supported`);
  return hasManifests ? readIndex(json, what) : readManifest(json, what);
}

function isKnown(type: string): boolean {
  return (acceptedTypes as readonly string[]).includes(type);
}

function readIndex(json: Json, what: string): Document {
  const manifests = (json["manifests"] as unknown[]).map((entry) => readDescriptor(entry, what));
  return { kind: "index", manifests };
}

function readManifest(json: Json, what: string): Document {
  const config = readDescriptor(json["config"], what);
  const isImage = configTypes.includes(config.mediaType);
  if (config.size > maxDocumentBytes) throw bad(what, `its config is larger than ${maxDocumentBytes} bytes`);
  const layers = (json["layers"] as unknown[]).map((entry) => readDescriptor(entry, what));
  if (layers.length > maxLayers) throw bad(what, `it has ${layers.length} layers, more than ${maxLayers}`);
  for (const layer of layers) {
    if (foreignTypes.test(layer.mediaType)) {
      throw bad(
        what,
        `layer ${layer.digest} is a foreign layer, kept outside of registries; such are not fetched`,
      );
    }
    if (isImage && !isLayerType(layer.mediaType)) {
      throw bad(
        what,
        `layer ${layer.digest} is of type ${layer.mediaType.slice(0, 100)}, which is not supported`,
      );
    }
  }
  if (isImage) return { kind: "manifest", config, layers };
  const type = typeof json["artifactType"] === "string" ? json["artifactType"] : config.mediaType;
  return { kind: "artifact", artifactType: type.slice(0, maxTypeBytes), config, layers };
}

function readDescriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw bad(what, "a descriptor is not an object");
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== "string") throw bad(what, "a descriptor has no media type");
  if (typeof digest !== "string") throw bad(what, "a descriptor has no digest");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw bad(what, `the size of ${digest.slice(0, 80)} is not a number of bytes`);
  }
  const platform = readPlatform(value["platform"], what);
  const annotations = readStrings(value["annotations"]);
  return {
    mediaType,
    digest: parseDigest(digest),
    size,
    ...(platform && { platform }),
    ...(annotations && { annotations }),
  };
}

function readPlatform(value: unknown, what: string): Platform | undefined {
  if (!isObject(value)) return undefined;
  const { os, architecture, variant, "os.features": list } = value;
  if (typeof os !== "string" || typeof architecture !== "string") return undefined;
  const features = readFeatures(list, what);
  return {
    os,
    architecture,
    ...(typeof variant === "string" && variant !== "" ? { variant } : {}),
    ...(features.length > 0 ? { features } : {}),
  };
}

/** Demands that cannot be understood are none that this machine meets. */
function readFeatures(value: unknown, what: string): readonly string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw bad(what, "os.features is not a list of strings");
}

function readStrings(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

/** Reads an image's config (OCI image spec, config.md); labels are left out on purpose (CVE-2026-53488). */
export function parseConfig(text: string, what: string): ImageConfig {
  const json = parseJson(text, what);
  const rootfs = json["rootfs"];
  if (!isObject(rootfs) || rootfs["type"] !== "layers" || !Array.isArray(rootfs["diff_ids"])) {
    throw bad(what, "it has no rootfs of layers");
  }
  const diffIds = rootfs["diff_ids"].map((id) => {
    if (typeof id !== "string") throw bad(what, "a diff id is not a string");
    return parseDigest(id);
  });
  const platform = readPlatform(json, what) ?? { os: "linux", architecture: "" };
  return { diffIds, platform, process: readProcess(json["config"], what) };
}

function readProcess(value: unknown, what: string): ImageProcess {
  const config: Json = isObject(value) ? value : {};
  const texts = (name: string): readonly string[] => {
    const list = config[name] ?? [];
    if (!Array.isArray(list) || list.some((item) => typeof item !== "string"))
      throw bad(what, `${name} is not a list of strings`);
    return list as string[];
  };
  const text = (name: string): string => {
    const found = config[name] ?? "";
    if (typeof found !== "string") throw bad(what, `${name} is not a string`);
    return found;
  };
  const volumes = config["Volumes"];
  return {
    entrypoint: texts("Entrypoint"),
    cmd: texts("Cmd"),
    env: texts("Env"),
    workingDir: text("WorkingDir"),
    user: text("User"),
    volumes: isObject(volumes) ? Object.keys(volumes) : [],
    stopSignal: text("StopSignal"),
  };
}

/** Parses a JSON object; `what` names it in errors. */
export function parseJson(text: string, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RuntimeError("failed-precondition", `${what}: it is not JSON`, { cause: error });
  }
  if (!isObject(value)) throw bad(what, "it is not a JSON object");
  return value;
}

/** True for a JSON object, not for a list or null. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(what: string, why: string): RuntimeError {
  return new RuntimeError("failed-precondition", `${what}: ${why}`);
}
