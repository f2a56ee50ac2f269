import winston from "winston";
import type { LogFields, Logger } from "./core/logger.ts";

/** How lines look and how many there are. */
export interface LoggingOptions {
  readonly level: "error" | "warn" | "info" | "debug";
  readonly format: "text" | "json";
}

/** Lines on standard error, which systemd's journal collects: the only place that knows winston. */
export function createLogger(options: LoggingOptions): Logger {
  const logger = winston.createLogger({
    level: options.level,
    format:
      options.format === "json"
        ? winston.format.combine(winston.format.timestamp(), winston.format.json())
        : winston.format.combine(winston.format.timestamp(), winston.format.printf(textLine)),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's own types say so
    transports: [new winston.transports.Console({ stderrLevels: ["error", "warn", "info", "debug"] })],
  });
  const write =
    (level: LoggingOptions["level"]) =>
    (message: string, fields: LogFields = {}): void => {
      logger.log(level, message, fields);
    };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

/** `2026-01-02T03:04:05.678Z info RunPodSandbox request=1a2b ms=3.2 result=ok`: one line whatever the values hold. */
function textLine(entry: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, ...fields } = entry;
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${shown(value)}`);
  return [String(timestamp), level, singleLine(String(message)), ...pairs].join(" ");
}

function shown(value: unknown): string {
  const text = String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

function singleLine(text: string): string {
  return /[\r\n]/.test(text) ? JSON.stringify(text) : text;
}
