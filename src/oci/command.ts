import { posix } from "node:path";
import { RuntimeError } from "../core/errors.ts";
import type { ImageProcess } from "../core/image.ts";

/** What the request says of the process. */
export interface CommandRequest {
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
}

/**
 * The argument vector. `command` takes the place of the image's entrypoint and drops its cmd, `args` takes the place of
 * the cmd alone (Kubernetes' table of command and args). Nothing at all is `invalid-argument`.
 *
 * @see https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
 */
export function commandLine(request: CommandRequest, image: ImageProcess): readonly string[] {
  const isOverridden = request.command.length > 0;
  const command = isOverridden ? request.command : entrypoint(image);
  const args = isOverridden || request.args.length > 0 ? request.args : image.cmd;
  const whole = [...command, ...args];
  if (whole.length === 0) {
    throw new RuntimeError("invalid-argument", "no command: neither the request nor the image names one");
  }
  return checkArguments(whole);
}

/** Refuses arguments that execve(2) cannot carry; throws `invalid-argument`. */
export function checkArguments(args: readonly string[]): readonly string[] {
  if ((args[0] ?? "") === "") throw new RuntimeError("invalid-argument", "the command is empty");
  const bad = args.findIndex((argument) => argument.includes("\0"));
  if (bad >= 0) throw new RuntimeError("invalid-argument", `argument ${bad} of the command has a NUL`);
  return args;
}

/** The folder that the process starts in: the request's, the image's or `/`, absolute and without `.` and `..`. */
export function workingDirectory(request: CommandRequest, image: ImageProcess): string {
  const chosen = request.workingDir === "" ? image.workingDir : request.workingDir;
  if (chosen.includes("\0")) {
    throw new RuntimeError("invalid-argument", `working_dir ${JSON.stringify(chosen)} has a NUL`);
  }
  return posix.resolve("/", chosen);
}

// Docker's way to reset an inherited entrypoint leaves one empty word.
function entrypoint(image: ImageProcess): readonly string[] {
  return image.entrypoint.length === 1 && image.entrypoint[0] === "" ? [] : image.entrypoint;
}
