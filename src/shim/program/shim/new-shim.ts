import type { AnyRequest, CreateRequest, PrepareRequest } from "../../protocol/messages.ts";
import { openCgroup, removeParents } from "../cgroup/index.ts";
import { PR } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { clone, exit, prctl, setName } from "../ffi/processes.ts";
import type { Context } from "../launcher/context.ts";
import { enterLeafV1, leaveLeaf, makeLeaf } from "../launcher/own-cgroup.ts";
import type { Connection } from "../wire/connection.ts";
import { replyError, replyOk, unknownRequest } from "../wire/greeting.ts";
import type { Loop } from "../wire/loop.ts";
import { Creator } from "./creation.ts";
import { becomeShim } from "./shim.ts";

/** How long a cgroup that nobody ever was in may take to go. */
const dismissTimeoutMs = 1_000;

/**
 * A shim that has no container yet. Clients ask for one before they need it, so that the forks, and the pages that these
 * copy, cost no container time.
 */
export class NewShim {
  private readonly loop: Loop;
  private readonly context: Context;
  /** Its own cgroup, below the launcher's. */
  private readonly leaf: string;
  private readonly creator: Creator;
  /** The container that it was prepared for. */
  private id: string | undefined;

  private constructor(loop: Loop, context: Context, leaf: string) {
    this.loop = loop;
    this.context = context;
    this.leaf = leaf;
    this.creator = new Creator(context.hierarchies, loop);
  }

  /**
   * Turns this process into one: goes on as a child in a leaf cgroup of its own, and this process ends. Started there by
   * clone3, because moving a process on v2 waits for a grace period of the kernel. It also makes the shim nobody's child
   * but init's.
   */
  static become(loop: Loop, context: Context): NewShim {
    const leaf = `shim-${C.getpid()}`;
    const folder = makeLeaf(context.hierarchies, leaf);
    const [placed, result] = pcall(() => clone(0, folder));
    const pid = placed ? result : clone(0);
    if (pid !== 0) exit(0);
    setName("berth-spare");
    enterLeafV1(context.hierarchies, leaf);
    C.setsid();
    prctl(PR.SET_CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER");
    return new NewShim(loop, context, leaf);
  }

  answer(request: AnyRequest, connection: Connection): void {
    switch (request.type) {
      case "prepare":
        this.prepare(request, connection);
        return;
      case "create":
        this.create(request, connection);
        return;
      case "delete":
        this.dismiss(() => {
          replyOk(connection, request.seq, {});
        });
        return;
      default:
        unknownRequest(request.type);
    }
  }

  /** Ends it: calls `done` once the cgroup that was made for its container is removed, and exits. */
  dismiss(done: (this: void) => void): void {
    if (this.id === undefined) this.leave(done);
    this.creator.whenPlaced((placed) => {
      this.creator.abandon();
      if ("cgroup" in placed) {
        pcall(() => {
          openCgroup(placed.cgroup, this.context.hierarchies).destroy(dismissTimeoutMs);
          removeParents(placed.parents);
        });
      }
      this.leave(done);
    });
  }

  private prepare({ seq, id, cgroup }: PrepareRequest, connection: Connection): void {
    if (this.id !== undefined) {
      throw failure("failed-precondition", `prepare: this shim was prepared for ${this.id}`);
    }
    this.id = id;
    setName("berth-shim");
    this.creator.place(cgroup);
    this.creator.whenPlaced((placed) => {
      if ("problem" in placed) replyError(connection, seq, placed.problem);
      else replyOk(connection, seq, {});
    });
  }

  private create(request: CreateRequest, connection: Connection): void {
    if (this.id !== request.id) {
      throw failure("failed-precondition", `create: no shim was prepared for ${request.id}`);
    }
    becomeShim(request, this.creator, connection, this.leaf, this.loop, this.context);
  }

  private leave(done: (this: void) => void): never {
    done();
    leaveLeaf(this.context.hierarchies, this.leaf);
    return exit(0);
  }
}
