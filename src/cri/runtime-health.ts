/** What Status and Info tell of the daemon; made by the composition root. */
export interface RuntimeHealth {
  /** Whether a pod can be given a network, and if not why. */
  network(): { readonly ready: boolean; readonly reason: string; readonly message: string };
  /** What pods may ask for beyond the necessary: each was tried on this host. */
  features(): { readonly recursiveReadOnlyMounts: boolean; readonly userNamespaces: boolean };
  /** Everything a person who debugs the daemon wants to see; plain JSON values, no secret among them. */
  describe(): Readonly<Record<string, unknown>>;
}
