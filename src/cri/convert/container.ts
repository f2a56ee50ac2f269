import { posix } from "node:path";
import type { Container, ContainerConfig, ContainerDevice, ContainerMount } from "../../core/container.ts";
import type { Container as ContainerItem } from "../types/runtime/v1/Container.ts";
import type { ContainerConfig__Output } from "../types/runtime/v1/ContainerConfig.ts";
import type { ContainerStatus } from "../types/runtime/v1/ContainerStatus.ts";
import type { Device__Output } from "../types/runtime/v1/Device.ts";
import type { ImageSpec } from "../types/runtime/v1/ImageSpec.ts";
import type { Mount as MountProto, Mount__Output } from "../types/runtime/v1/Mount.ts";
import type { Signal } from "../types/runtime/v1/Signal.ts";
import { absolutePath, hostPath, invalid, oneOf, plainText, required, requiredText } from "./fields.ts";
import { resourcesFromProto, resourcesToProto } from "./resources.ts";
import { containerSecurityFromProto, idMappingsFromProto } from "./security.ts";

const propagations = {
  PROPAGATION_PRIVATE: "private",
  PROPAGATION_HOST_TO_CONTAINER: "host-to-container",
  PROPAGATION_BIDIRECTIONAL: "bidirectional",
} as const;

const propagationNames = {
  private: "PROPAGATION_PRIVATE",
  "host-to-container": "PROPAGATION_HOST_TO_CONTAINER",
  bidirectional: "PROPAGATION_BIDIRECTIONAL",
} as const;

const stateNames = {
  creating: "CONTAINER_CREATED",
  created: "CONTAINER_CREATED",
  running: "CONTAINER_RUNNING",
  exited: "CONTAINER_EXITED",
} as const;

/** Reads a container's configuration; throws `invalid-argument` naming the field. */
export function containerConfigFromProto(proto: ContainerConfig__Output | null): ContainerConfig {
  const config = required("config", proto);
  const metadata = required("config.metadata", config.metadata);
  const image = required("config.image", config.image);
  return {
    metadata: { name: requiredText("config.metadata.name", metadata.name), attempt: metadata.attempt },
    image: requiredText("config.image.image", image.image),
    userSpecifiedImage: image.user_specified_image,
    imageAnnotations: image.annotations,
    command: arguments_("config.command", config.command),
    args: arguments_("config.args", config.args),
    workingDir: config.working_dir === "" ? "" : absolutePath("config.working_dir", config.working_dir),
    envs: config.envs.map(({ key, value }, index) =>
      environmentVariable(`config.envs[${index}]`, key, value),
    ),
    mounts: config.mounts.map(mountFromProto),
    devices: config.devices.map(deviceFromProto),
    cdiDevices: config.CDI_devices.map((device) => device.name),
    labels: config.labels,
    annotations: config.annotations,
    logPath: logPath(config.log_path),
    stdin: config.stdin,
    stdinOnce: config.stdin_once,
    tty: config.tty,
    ...stopSignal(config.stop_signal),
    resources: resourcesFromProto("config.linux.resources", config.linux?.resources ?? null),
    security: containerSecurityFromProto(
      "config.linux.security_context",
      config.linux?.security_context ?? null,
    ),
  };
}

/** An item of ListContainers. */
export function containerToProto(container: Container): ContainerItem {
  const { config } = container;
  return {
    id: container.id,
    pod_sandbox_id: container.podId,
    metadata: config.metadata,
    image: imageSpec(config),
    image_ref: container.imageRef,
    image_id: container.imageId,
    state: stateNames[container.state.state],
    created_at: String(container.createdAt),
    labels: config.labels,
    annotations: config.annotations,
  };
}

/** The status of a container. */
export function containerStatusToProto(container: Container): ContainerStatus {
  const { config, state } = container;
  const exited = state.state === "exited" ? state : undefined;
  return {
    id: container.id,
    metadata: config.metadata,
    state: stateNames[state.state],
    created_at: String(container.createdAt),
    started_at: String("startedAt" in state ? state.startedAt : 0n),
    finished_at: String(exited?.finishedAt ?? 0n),
    exit_code: exited?.exitCode ?? 0,
    reason: exited?.reason ?? "",
    message: exited?.message ?? "",
    image: imageSpec(config),
    image_ref: container.imageRef,
    image_id: container.imageId,
    labels: config.labels,
    annotations: config.annotations,
    mounts: config.mounts.map((mount) => mountToProto(mount, container.volumeImages)),
    log_path: container.logPath,
    resources: { linux: resourcesToProto(container.resources) },
    user: {
      linux: {
        uid: String(container.user.uid),
        gid: String(container.user.gid),
        supplemental_groups: container.user.supplementalGroups.map(String),
      },
    },
    stop_signal: signalToProto(container.stopSignal),
  };
}

/** `SIGRTMIN+3` is `SIGRTMINPLUS3` in the contract. */
function signalToProto(name: string): keyof typeof Signal {
  return name.replace("+", "PLUS").replace("-", "MINUS") as keyof typeof Signal;
}

function stopSignal(value: string | number): { readonly stopSignal?: string } {
  if (value === "RUNTIME_DEFAULT") return {};
  if (typeof value !== "string") return invalid("config.stop_signal", `unknown value ${value}`);
  return { stopSignal: value.replace("PLUS", "+").replace("MINUS", "-") };
}

function imageSpec(config: ContainerConfig): ImageSpec {
  return {
    image: config.image,
    annotations: config.imageAnnotations,
    user_specified_image: config.userSpecifiedImage,
  };
}

function arguments_(field: string, values: readonly string[]): readonly string[] {
  const index = values.findIndex((value) => value.includes("\0"));
  return index < 0 ? values : invalid(`${field}[${index}]`, "has a NUL byte");
}

function environmentVariable(field: string, key: string, value: Buffer): { key: string; value: string } {
  if (key === "" || key.includes("=") || key.includes("\0")) {
    invalid(`${field}.key`, `not a variable's name: ${JSON.stringify(key)}`);
  }
  const text = value.toString("utf8");
  if (text.includes("\0")) invalid(`${field}.value`, `of ${key} has a NUL byte`);
  return { key, value: text };
}

function mountFromProto(mount: Mount__Output, index: number): ContainerMount {
  const field = `config.mounts[${index}]`;
  const image = mount.image === null || mount.image.image === "" ? undefined : mount.image.image;
  if (image === undefined && mount.host_path === "") invalid(`${field}.host_path`, "empty");
  if (image !== undefined) checkImageMount(field, mount);
  else if (mount.image_sub_path !== "") invalid(`${field}.image_sub_path`, "given without an image");
  return {
    containerPath: containerPath(`${field}.container_path`, mount.container_path),
    hostPath: image === undefined ? hostPath(`${field}.host_path`, mount.host_path) : "",
    readonly: mount.readonly,
    recursiveReadOnly: mount.recursive_read_only,
    selinuxRelabel: mount.selinux_relabel,
    propagation: oneOf(`${field}.propagation`, mount.propagation, propagations),
    ...mountMappings(field, mount),
    ...(image === undefined ? {} : { image }),
    imageSubPath: mount.image_sub_path,
  };
}

/** Of users and groups, or none at all. */
function mountMappings(
  field: string,
  mount: Mount__Output,
): Pick<ContainerMount, "uidMappings" | "gidMappings"> {
  const uidMappings = idMappingsFromProto(`${field}.uidMappings`, mount.uidMappings);
  const gidMappings = idMappingsFromProto(`${field}.gidMappings`, mount.gidMappings);
  if (uidMappings.length > 0 !== gidMappings.length > 0) {
    invalid(`${field}.uidMappings and gidMappings`, "one is given without the other");
  }
  return { uidMappings, gidMappings };
}

/** An image is shown read-only, and nothing is ever mounted below it that could cross to the node. */
function checkImageMount(field: string, mount: Mount__Output): void {
  if (mount.host_path !== "") invalid(field, "has both image and host_path");
  if (!mount.readonly)
    invalid(`${field}.readonly`, "false for an image, which can only be mounted read-only");
  if (mount.propagation === "PROPAGATION_BIDIRECTIONAL") {
    invalid(`${field}.propagation`, "bidirectional for an image, below which nothing is mounted");
  }
  const path = mount.image_sub_path;
  if (path.startsWith("/") || path.includes("\0") || path.split("/").includes("..")) {
    invalid(`${field}.image_sub_path`, `not a path inside the image: ${JSON.stringify(path)}`);
  }
}

/** Relative destinations are taken from the root, as other runtimes do. */
function containerPath(field: string, value: string): string {
  if (value === "") invalid(field, "empty");
  const path = absolutePath(field, posix.join("/", value));
  return path === "/" ? invalid(field, "a mount over the root") : path.replace(/\/$/, "");
}

function mountToProto(mount: ContainerMount, volumeImages: Container["volumeImages"]): MountProto {
  return {
    container_path: mount.containerPath,
    host_path: mount.hostPath,
    readonly: mount.readonly,
    recursive_read_only: mount.recursiveReadOnly,
    selinux_relabel: mount.selinuxRelabel,
    propagation: propagationNames[mount.propagation],
    uidMappings: mount.uidMappings.map(mappingToProto),
    gidMappings: mount.gidMappings.map(mappingToProto),
    ...(mount.image === undefined
      ? {}
      : {
          image: { image: mount.image, image_ref: volumeImages?.[mount.containerPath] ?? "" },
          image_sub_path: mount.imageSubPath,
        }),
  };
}

function mappingToProto(mapping: ContainerMount["uidMappings"][number]): {
  host_id: number;
  container_id: number;
  length: number;
} {
  return { host_id: mapping.hostId, container_id: mapping.containerId, length: mapping.length };
}

function deviceFromProto(device: Device__Output, index: number): ContainerDevice {
  const field = `config.devices[${index}]`;
  const permissions = device.permissions === "" ? "rwm" : device.permissions;
  if (!/^[rwm]{1,3}$/.test(permissions)) {
    invalid(`${field}.permissions`, `not a subset of rwm: ${JSON.stringify(device.permissions)}`);
  }
  const path = hostPath(`${field}.host_path`, device.host_path);
  return {
    hostPath: path,
    containerPath:
      device.container_path === "" ? path : containerPath(`${field}.container_path`, device.container_path),
    permissions,
  };
}

/** Relative and below the pod's log directory (CVE-2025-0750). */
function logPath(value: string): string {
  if (value === "") return "";
  const path = posix.normalize(plainText("config.log_path", value));
  if (path.startsWith("/") || path === ".." || path.startsWith("../")) {
    invalid("config.log_path", `not a path below the pod's log directory: ${JSON.stringify(value)}`);
  }
  return path;
}
