import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { type Setting, integerText } from "./setting.ts";

/** The same file in both versions. @see https://docs.kernel.org/admin-guide/cgroup-v1/rdma.html */
export function rdma(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  const devices = resources.rdma ?? {};
  for (const device in devices) {
    const { hcaHandles, hcaObjects } = devices[device] ?? {};
    let value = device;
    if (hcaHandles !== undefined) value = `${value} hca_handle=${integerText(hcaHandles, "rdma")}`;
    if (hcaObjects !== undefined) value = `${value} hca_object=${integerText(hcaObjects, "rdma")}`;
    settings.push({ file: "rdma.max", value, field: `rdma ${device}` });
  }
  return settings;
}
