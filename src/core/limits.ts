/** Named limits that more than one folder needs; each carries its unit in its name. */

/** The largest gRPC message either way: what the kubelet's client accepts. */
export const maxGrpcMessageBytes = 16 * 1024 * 1024;

/**
 * Bytes kept of both streams of an ExecSync; what goes beyond is read and dropped (CVE-2022-1708, CVE-2022-31030). A
 * little below a message, which carries more than these.
 */
export const maxExecSyncOutputBytes = maxGrpcMessageBytes - 64 * 1024;

/** Bytes of one note kept with a job. */
export const maxJobNoteBytes = 16 * 1024;

/** Bytes read of an image's /etc/passwd or /etc/group (CVE-2025-4437). */
export const maxAccountFileBytes = 1024 * 1024;
