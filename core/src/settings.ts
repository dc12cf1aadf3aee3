import type { Config } from "@chatsdk/abi/host_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "./errors.ts";
import { SUITE_CLASSIC, SUITE_HYBRID } from "./handshake/suite.ts";

const MINUTE = 60 * 1000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const DEFAULT_MESSAGES_PER_EPOCH = 100;
const MAX_CREDENTIALS_SIZE = 65536;

/** Settings with every default filled in; times in milliseconds. */
export interface Settings {
  clusterId: number;
  shardCount: number;
  appName: string;
  appVersion: string;
  bucketCount: number;
  minimumSuite: number;
  maximumSuite: number;
  ackDelayMs: number;
  ackIntervalMs: number;
  resendAfterMs: number;
  messageTtlMs: number;
  gapDelayMs: number;
  repairAttempts: number;
  historyIntervalMs: number;
  repairIntervalMs: number;
  /** `undefined`: no limit. */
  rateLimit: RateLimit | undefined;
}

export interface RateLimit {
  epochMs: number;
  messages: number;
}

export const MAX_RESEND_INTERVAL_MS = 6 * HOUR;
export const DEFAULT_INVITE_VALIDITY_MS = 7 * DAY;
/** A set-up made in time is taken in so long after the link has expired: its author may have been offline. */
export const INVITE_GRACE_MS = DAY;
export const MAX_INVITE_VALIDITY_MS = 365 * DAY;

/** Throws INVALID_ARGUMENT naming the field. */
export function settingsOf(config: Config): Settings {
  const settings: Settings = {
    clusterId: config.clusterId,
    shardCount: config.shardCount || 8,
    appName: config.appName || "chatsdk",
    appVersion: config.appVersion || "2",
    bucketCount: config.bucketCount || 16,
    minimumSuite: config.minimumSuite || SUITE_CLASSIC,
    maximumSuite: config.maximumSuite || SUITE_HYBRID,
    ackDelayMs: config.ackDelayMs || 1500,
    ackIntervalMs: config.ackIntervalMs || MINUTE,
    resendAfterMs: config.resendAfterMs || 90 * 1000,
    messageTtlMs: Number(config.messageTtlMs) || 14 * DAY,
    gapDelayMs: config.gapDelayMs || 3000,
    repairAttempts: config.repairAttempts || 6,
    historyIntervalMs: config.historyIntervalMs || 5 * MINUTE,
    repairIntervalMs: Number(config.repairIntervalMs) || DAY,
    rateLimit: config.rateLimit && {
      epochMs: (config.rateLimit.epochSeconds || 600) * 1000,
      messages: config.rateLimit.messagesPerEpoch || DEFAULT_MESSAGES_PER_EPOCH,
    },
  };
  const refuse = (field: string, remedy: string): never => {
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, `config.${field}: ${remedy}`);
  };
  if (!/^[a-z0-9-]{1,32}$/.test(settings.appName)) refuse("app_name", "give 1 to 32 characters of a-z, 0-9 and -");
  if (!/^[a-z0-9.-]{1,8}$/.test(settings.appVersion))
    refuse("app_version", "give 1 to 8 characters of a-z, 0-9, . and -");
  if (settings.clusterId > 65535) refuse("cluster_id", "give 0 to 65,535");
  if (settings.shardCount > 1024) refuse("shard_count", "give 1 to 1,024");
  if (settings.bucketCount > 65536) refuse("bucket_count", "give 1 to 65,536");
  const { rateLimit } = settings;
  if (rateLimit && rateLimit.epochMs > DAY) refuse("rate_limit.epoch_seconds", "give 1 to 86,400");
  if (rateLimit && rateLimit.messages > 65535) refuse("rate_limit.messages_per_epoch", "give 1 to 65,535");
  if ((config.rateLimit?.credentials.length ?? 0) > MAX_CREDENTIALS_SIZE)
    refuse("rate_limit.credentials", "give at most 65,536 bytes");
  if (settings.minimumSuite > settings.maximumSuite || settings.maximumSuite > SUITE_HYBRID) {
    refuse("minimum_suite, maximum_suite", "give suites from 1 to 2, the minimum not above the maximum");
  }
  return settings;
}
