import { parseDigest, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import { referenceToShow } from "../core/user-info.ts";

declare const brand: unique symbol;

/** Where an image is, fully spelled out; made by {@link parseReference} only. */
export interface ImageRef {
  readonly [brand]: true;
  /** Host and port, such as `docker.io`, `127.0.0.1:5000` or `[::1]:5000`. */
  readonly registry: string;
  /** Such as `library/busybox`. */
  readonly repository: string;
  /** `latest` where the text named neither tag nor digest. */
  readonly tag?: string;
  /** Takes precedence over the tag. */
  readonly digest?: Digest;
}

const maxNameLength = 255;
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const domain =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const tagPattern = /^\w[\w.-]{0,127}$/;

/**
 * Reads an image's name as Kubernetes and Docker do: `busybox` is `docker.io/library/busybox:latest`. Throws
 * `invalid-argument`. @see https://github.com/distribution/reference (grammar)
 */
export function parseReference(text: string): ImageRef {
  const invalid = (why: string): RuntimeError =>
    new RuntimeError(
      "invalid-argument",
      `invalid image reference ${JSON.stringify(referenceToShow(text).slice(0, 300))}: ${why}`,
    );
  const at = text.indexOf("@");
  const named = at < 0 ? text : text.slice(0, at);
  const slash = named.lastIndexOf("/");
  const colon = named.indexOf(":", slash + 1);
  const hasTag = colon >= 0 && !named.slice(slash + 1).startsWith("[");
  const name = hasTag ? named.slice(0, colon) : named;
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (name === "") throw invalid("no name");
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid("invalid tag");
  const digest = at < 0 ? undefined : readDigest(text.slice(at + 1), invalid);
  const { registry, repository } = splitName(name);
  if (!domain.test(registry)) throw invalid("invalid registry host");
  if (repository.split("/").some((part) => !component.test(part))) {
    throw invalid(
      repository === repository.toLowerCase()
        ? "invalid repository name"
        : "the repository name must be lower case",
    );
  }
  if (registry.length + 1 + repository.length > maxNameLength) {
    throw invalid(`the name is longer than ${maxNameLength} characters`);
  }
  const shown = tag ?? (digest === undefined ? "latest" : undefined);
  return {
    registry,
    repository,
    ...(shown === undefined ? {} : { tag: shown }),
    ...(digest === undefined ? {} : { digest }),
  } as ImageRef;
}

function readDigest(text: string, invalid: (why: string) => RuntimeError): Digest {
  try {
    return parseDigest(text);
  } catch {
    throw invalid("the digest is not sha256: and 64 lower-case hex digits");
  }
}

/** The first part is a host where it could be no Docker Hub user: it has a dot or a port, or is `localhost`. */
function splitName(name: string): { registry: string; repository: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isHost = looksLikeHost(first);
  const registry = isHost ? normaliseRegistry(first) : "docker.io";
  const rest = isHost ? name.slice(slash + 1) : name;
  const repository = registry === "docker.io" && !rest.includes("/") ? `library/${rest}` : rest;
  return { registry, repository };
}

function looksLikeHost(text: string): boolean {
  return /[.:[]/.test(text) || text === "localhost" || text !== text.toLowerCase();
}

/** True for the name of a registry, which no user of Docker Hub can have. */
export function isRegistryHost(text: string): boolean {
  return looksLikeHost(text) && domain.test(text);
}

/** The registry of `HOST`, `HOST/PREFIX` or, for Docker Hub, `PREFIX`. */
export function registryOfQuery(query: string): string {
  const first = query.split("/", 1)[0] ?? "";
  return isRegistryHost(first) ? normaliseRegistry(first) : "docker.io";
}

/** Docker Hub's other names become `docker.io`. */
export function normaliseRegistry(host: string): string {
  return host === "index.docker.io" || host === "registry-1.docker.io" ? "docker.io" : host;
}

/** Registry and repository, such as `docker.io/library/busybox`. */
export function nameOf(reference: ImageRef): string {
  return `${reference.registry}/${reference.repository}`;
}

/** The text that is kept with an image: with the digest where there is one, else with the tag. */
export function formatReference(reference: ImageRef): string {
  if (reference.digest !== undefined) return `${nameOf(reference)}@${reference.digest}`;
  return `${nameOf(reference)}:${reference.tag ?? "latest"}`;
}
