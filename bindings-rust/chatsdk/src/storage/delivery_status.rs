//! Which way a message's status may go.

use crate::abi::DeliveryStatus;

const ORDER: [DeliveryStatus; 5] = [
    DeliveryStatus::Unspecified,
    DeliveryStatus::Queued,
    DeliveryStatus::Sent,
    DeliveryStatus::Delivered,
    DeliveryStatus::Read,
];

/// Whether a status change has an effect (`Change.set_status`): a message only gets further. A message given up stays given
/// up, unless the peer turns out to have it after all.
pub(crate) fn may_become(from: i32, to: i32) -> bool {
    let place = |status: i32| ORDER.iter().position(|&known| i32::from(known) == status);
    let failed = i32::from(DeliveryStatus::Failed);
    if to == failed {
        return place(from).is_some_and(|from| from <= 2);
    }
    if from == failed {
        return to == i32::from(DeliveryStatus::Delivered) || to == i32::from(DeliveryStatus::Read);
    }
    place(to) > place(from)
}
