import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Logger } from "../core/logger.ts";
import type {
  Archives,
  Containers,
  Images,
  Inspection,
  LifecycleEvents,
  Measuring,
  Pods,
  StoreCare,
} from "../sandbox/index.ts";
import type { JobJournal } from "../store/index.ts";
import { byteStream, type ByteHandler } from "./byte-stream.ts";
import { commitContainer } from "./handlers/admin-commit-container.ts";
import { loadServices } from "./definition.ts";
import { joined } from "./encoded.ts";
import { createEncoders } from "./encoders.ts";
import { checkStore } from "./handlers/admin-check-store.ts";
import { collectGarbage } from "./handlers/admin-collect-garbage.ts";
import { containerExec } from "./handlers/admin-container-exec.ts";
import { diskUsage } from "./handlers/admin-disk-usage.ts";
import { exportContainer } from "./handlers/admin-export-container.ts";
import { imageFromHost } from "./handlers/admin-image-from-host.ts";
import { importImage } from "./handlers/admin-import-image.ts";
import { importRootfs } from "./handlers/admin-import-rootfs.ts";
import { info } from "./handlers/admin-info.ts";
import { listJobs } from "./handlers/admin-list-jobs.ts";
import { saveImages } from "./handlers/admin-save-images.ts";
import { pushImage } from "./handlers/admin-push-image.ts";
import { searchRegistry } from "./handlers/admin-search-registry.ts";
import { tagImage } from "./handlers/admin-tag-image.ts";
import { attach } from "./handlers/attach.ts";
import { containerStats } from "./handlers/container-stats.ts";
import { containerStatus } from "./handlers/container-status.ts";
import { createContainer } from "./handlers/create-container.ts";
import { exec } from "./handlers/exec.ts";
import { execSync } from "./handlers/exec-sync.ts";
import { getContainerEvents } from "./handlers/get-container-events.ts";
import { imageFsInfo } from "./handlers/image-fs-info.ts";
import { imageStatus } from "./handlers/image-status.ts";
import { listContainerStats } from "./handlers/list-container-stats.ts";
import { listContainers } from "./handlers/list-containers.ts";
import { listImages } from "./handlers/list-images.ts";
import { listMetricDescriptors } from "./handlers/list-metric-descriptors.ts";
import { listPodSandboxMetrics } from "./handlers/list-pod-sandbox-metrics.ts";
import { listPodSandboxStats } from "./handlers/list-pod-sandbox-stats.ts";
import { listPodSandbox } from "./handlers/list-pod-sandbox.ts";
import { podSandboxStats } from "./handlers/pod-sandbox-stats.ts";
import { podSandboxStatus } from "./handlers/pod-sandbox-status.ts";
import { portForward } from "./handlers/port-forward.ts";
import { pullImage } from "./handlers/pull-image.ts";
import { removeContainer } from "./handlers/remove-container.ts";
import { removeImage } from "./handlers/remove-image.ts";
import { removePodSandbox } from "./handlers/remove-pod-sandbox.ts";
import { reopenContainerLog } from "./handlers/reopen-container-log.ts";
import { runPodSandbox } from "./handlers/run-pod-sandbox.ts";
import { runtimeConfig } from "./handlers/runtime-config.ts";
import { startContainer } from "./handlers/start-container.ts";
import { status } from "./handlers/status.ts";
import { stopContainer } from "./handlers/stop-container.ts";
import { stopPodSandbox } from "./handlers/stop-pod-sandbox.ts";
import { streamContainerStats } from "./handlers/stream-container-stats.ts";
import { streamContainers } from "./handlers/stream-containers.ts";
import { streamImages } from "./handlers/stream-images.ts";
import { streamPodSandboxMetrics } from "./handlers/stream-pod-sandbox-metrics.ts";
import { streamPodSandboxStats } from "./handlers/stream-pod-sandbox-stats.ts";
import { streamPodSandboxes } from "./handlers/stream-pod-sandboxes.ts";
import { updateContainerResources } from "./handlers/update-container-resources.ts";
import { updatePodSandboxResources } from "./handlers/update-pod-sandbox-resources.ts";
import { updateRuntimeConfig } from "./handlers/update-runtime-config.ts";
import { version } from "./handlers/version.ts";
import type { RuntimeHealth } from "./runtime-health.ts";
import { serverStream, type StreamHandler } from "./server-stream.ts";
import type { Services } from "./server.ts";
import type { StreamingServer } from "./streaming/index.ts";
import { unary, type CallVisibility, type UnaryHandler } from "./unary.ts";

/** What the handlers work on. */
export interface ServicesDeps {
  readonly pods: Pods;
  readonly containers: Containers;
  readonly images: Images;
  readonly archives: Archives;
  readonly storeCare: StoreCare;
  readonly inspection: Inspection;
  readonly jobs: JobJournal;
  readonly events: LifecycleEvents;
  readonly health: RuntimeHealth;
  readonly streaming: StreamingServer;
  readonly measuring: Measuring;
  readonly logger: Logger;
  readonly runtimeVersion: string;
}

/** Every RPC that is answered, by service: the table of contents of handlers/. */
export function createServices(deps: ServicesDeps): Services {
  const definitions = loadServices();
  const encoders = createEncoders(definitions.runtime.v1.RuntimeService.service);
  const { pods, containers, images, archives, inspection, jobs, health, streaming, logger } = deps;
  const wrap =
    (visibility: CallVisibility) =>
    <Request, Response>(
      name: string,
      handler: UnaryHandler<Request, Response>,
    ): UntypedServiceImplementation => ({ [name]: unary(name, visibility, logger, handler) });
  const notable = wrap("notable");
  const routine = wrap("routine");
  const stream = <Request, Item>(
    name: string,
    handler: StreamHandler<Request, Item>,
    message: (items: Item[]) => object,
  ): UntypedServiceImplementation => ({ [name]: serverStream(name, logger, handler, message) });
  const bytes = <Request>(name: string, handler: ByteHandler<Request>): UntypedServiceImplementation => ({
    [name]: byteStream(name, logger, handler),
  });
  const { stats, metrics, layers } = deps.measuring;
  return {
    definitions,
    runtime: {
      ...routine("Version", version(deps.runtimeVersion)),
      ...routine("Status", status(health)),
      ...routine("RuntimeConfig", runtimeConfig()),
      ...notable("UpdateRuntimeConfig", updateRuntimeConfig(pods)),
      ...notable("RunPodSandbox", runPodSandbox(pods)),
      ...notable("StopPodSandbox", stopPodSandbox(pods)),
      ...notable("RemovePodSandbox", removePodSandbox(pods)),
      ...routine("PodSandboxStatus", podSandboxStatus(pods, containers, inspection, encoders)),
      ...routine("ListPodSandbox", listPodSandbox(pods, encoders)),
      ...notable("CreateContainer", createContainer(containers)),
      ...notable("StartContainer", startContainer(containers)),
      ...notable("StopContainer", stopContainer(containers)),
      ...notable("RemoveContainer", removeContainer(containers)),
      ...routine("ContainerStatus", containerStatus(containers, inspection, encoders)),
      ...routine("ListContainers", listContainers(containers, encoders)),
      ...notable("UpdateContainerResources", updateContainerResources(containers)),
      ...notable("ReopenContainerLog", reopenContainerLog(containers)),
      ...routine("ExecSync", execSync(containers)),
      ...notable("Exec", exec(containers, streaming)),
      ...notable("Attach", attach(containers, streaming)),
      ...notable("PortForward", portForward(pods, streaming)),
      ...notable("UpdatePodSandboxResources", updatePodSandboxResources(pods)),
      ...routine("ContainerStats", containerStats(stats, images)),
      ...routine("ListContainerStats", listContainerStats(stats, images)),
      ...routine("PodSandboxStats", podSandboxStats(stats, images)),
      ...routine("ListPodSandboxStats", listPodSandboxStats(stats, images)),
      ...routine("ListMetricDescriptors", listMetricDescriptors()),
      ...routine("ListPodSandboxMetrics", listPodSandboxMetrics(metrics)),
      ...stream("StreamPodSandboxes", streamPodSandboxes(pods, encoders), joined),
      ...stream("StreamContainers", streamContainers(containers, encoders), joined),
      ...stream("StreamContainerStats", streamContainerStats(stats, images), (container_stats) => ({
        container_stats,
      })),
      ...stream("StreamPodSandboxStats", streamPodSandboxStats(stats, images), (pod_sandbox_stats) => ({
        pod_sandbox_stats,
      })),
      ...stream("StreamPodSandboxMetrics", streamPodSandboxMetrics(metrics), (pod_sandbox_metrics) => ({
        pod_sandbox_metrics,
      })),
      GetContainerEvents: getContainerEvents(deps.events, containers),
    },
    image: {
      ...notable("PullImage", pullImage(images)),
      ...notable("RemoveImage", removeImage(images)),
      ...routine("ListImages", listImages(images)),
      ...routine("ImageStatus", imageStatus(images, inspection)),
      ...stream("StreamImages", streamImages(images), (items) => ({ images: items })),
      ...routine("ImageFsInfo", imageFsInfo(images, layers)),
    },
    admin: {
      ...routine("Info", info(health)),
      ...routine("ListJobs", listJobs(jobs)),
      ...notable("ImageFromHost", imageFromHost(images)),
      ...notable("TagImage", tagImage(images)),
      ...notable("PushImage", pushImage(images)),
      ...routine("SearchRegistry", searchRegistry(images)),
      ImportImage: importImage(images),
      ...routine("DiskUsage", diskUsage(deps.storeCare)),
      ...notable("CollectGarbage", collectGarbage(deps.storeCare)),
      ...notable("CheckStore", checkStore(deps.storeCare)),
      ...bytes("SaveImages", saveImages(archives)),
      ...bytes("ExportContainer", exportContainer(archives)),
      ...notable("CommitContainer", commitContainer(archives)),
      ImportRootfs: importRootfs(archives),
      ContainerExec: containerExec(containers),
    },
  };
}
