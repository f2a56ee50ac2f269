import type { Image } from "../../core/image.ts";
import { parseImageUser } from "../../oci/index.ts";
import type { RegistryAuth__Output } from "../types/berth/v1/RegistryAuth.ts";
import type { AuthConfig__Output } from "../types/runtime/v1/AuthConfig.ts";
import type { Image as ImageProto } from "../types/runtime/v1/Image.ts";
import type { RegistryAuth } from "../../images/index.ts";
import type { NewImageText } from "../../sandbox/index.ts";
import type { NewImage__Output } from "../types/berth/v1/NewImage.ts";
import { plainText, required, requiredText } from "./fields.ts";

/** An image as ListImages and ImageStatus show it. */
export function imageToProto(image: Image): ImageProto {
  const user = parseImageUser(image.process.user);
  return {
    id: image.id,
    repo_tags: [...image.tags],
    repo_digests: [...image.repoDigests],
    size: String(image.sizeBytes),
    uid: "uid" in user ? { value: String(user.uid) } : null,
    username: "username" in user ? user.username : "",
    spec: { image: image.id },
    pinned: image.pinned,
  };
}

/** Credentials of one request, in the CRI's form or our own; absent where it has none. */
export function authFromProto(
  proto: AuthConfig__Output | RegistryAuth__Output | null,
): RegistryAuth | undefined {
  if (proto === null || Object.values(proto).every((value) => value === "")) return undefined;
  return {
    username: proto.username,
    password: proto.password,
    ...("auth" in proto && { auth: proto.auth }),
    serverAddress: proto.server_address,
    identityToken: proto.identity_token,
    registryToken: proto.registry_token,
  };
}

/** What is said of an image that is made here; an embedded line break in a message is a person's. */
export function readNewImage(proto: NewImage__Output | null | undefined): NewImageText {
  const image = required("image", proto);
  return {
    reference: requiredText("image.reference", image.reference),
    author: plainText("image.author", image.author),
    message: image.message,
    changes: image.changes,
  };
}
