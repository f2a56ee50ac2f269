import { RuntimeError, type ErrorCode } from "../../core/errors.ts";

/** The kubelet recognises this at the beginning of the message and reports the signature, not the registry. */
const sentinel = "SignatureValidationFailed";

/** The error of an image that the policy does not let in: `permission-denied`, unless the policy itself is at fault. */
export function notAccepted(name: string, why: string, code: ErrorCode = "permission-denied"): RuntimeError {
  return new RuntimeError(code, `${sentinel}: image ${name}: ${why}`);
}
