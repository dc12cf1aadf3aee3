import { DeliveryStatus } from "@chatsdk/abi/api_pb";

const order = [
  DeliveryStatus.DELIVERY_STATUS_UNSPECIFIED,
  DeliveryStatus.QUEUED,
  DeliveryStatus.SENT,
  DeliveryStatus.DELIVERED,
  DeliveryStatus.READ,
];

/**
 * Whether a status change has an effect (`Change.set_status`): a message only gets further. A message given up stays given up, unless
 * the peer turns out to have it after all.
 */
export function mayBecome(from: DeliveryStatus, to: DeliveryStatus): boolean {
  if (to === DeliveryStatus.FAILED)
    return order.indexOf(from) >= 0 && order.indexOf(from) <= order.indexOf(DeliveryStatus.SENT);
  if (from === DeliveryStatus.FAILED) return to === DeliveryStatus.DELIVERED || to === DeliveryStatus.READ;
  return order.indexOf(to) > order.indexOf(from);
}
