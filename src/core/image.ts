import type { Digest } from "./digest.ts";

/** The part of an OCI image config that a container's process comes from (OCI image spec, config.md). */
export interface ImageProcess {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly workingDir: string;
  /** `user`, `uid`, `user:group`, `uid:gid`...; empty is root. */
  readonly user: string;
  readonly volumes: readonly string[];
  readonly stopSignal: string;
}

/** An unpacked layer, named by the digest of its uncompressed tar. */
export interface Layer {
  readonly diffId: Digest;
  /** Name of the layer's folder below the layers' folder; short, so that 120 of them fit one mount(2) call. */
  readonly folder: string;
  /** Bytes and inodes of the unpacked files. */
  readonly sizeBytes: number;
  readonly inodes: number;
  /** Folders besides the root that the layer's tar has no entry for; absent is none. */
  readonly implicitFolders?: number;
}

/** An image in the store: its id is the digest of its config, an artifact's that of its manifest. */
export interface Image {
  readonly id: Digest;
  /** References with a tag, normalised, such as `docker.io/library/busybox:1.36`. */
  readonly tags: readonly string[];
  /** References with a digest, such as `docker.io/library/busybox@sha256:…`. */
  readonly repoDigests: readonly string[];
  readonly manifest: Digest;
  /** Lowest layer first; above those of the manifest there may be one that completes them, which is made here. */
  readonly layers: readonly Digest[];
  /** The layers in their compressed form, in the same order; what of them is kept on disk, the image keeps there. */
  readonly blobs?: readonly Digest[];
  /** References with a digest of images that it was made from: their repositories have layers of it. */
  readonly origins?: readonly string[];
  readonly process: ImageProcess;
  /** The type of an artifact, which can be mounted and not run; absent for a container image. */
  readonly artifactType?: string;
  /** The config of an artifact; absent for a container image, whose id it is. */
  readonly config?: Digest;
  /** Compressed layers, config and manifest together, as registries count. */
  readonly sizeBytes: number;
  readonly pinned: boolean;
}
