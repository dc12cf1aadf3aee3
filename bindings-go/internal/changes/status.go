package changes

import (
	"slices"

	"chatsdk/abi"
)

var statusOrder = []abi.DeliveryStatus{
	abi.DeliveryStatus_DELIVERY_STATUS_UNSPECIFIED,
	abi.DeliveryStatus_QUEUED,
	abi.DeliveryStatus_SENT,
	abi.DeliveryStatus_DELIVERED,
	abi.DeliveryStatus_READ,
}

// MayBecome tells whether a status change has an effect (Change.set_status): a message only gets further. A message given up stays given
// up, unless the peer turns out to have it after all.
func MayBecome(from, to abi.DeliveryStatus) bool {
	position := slices.Index(statusOrder, from)
	switch {
	case to == abi.DeliveryStatus_FAILED:
		return position >= 0 && position <= slices.Index(statusOrder, abi.DeliveryStatus_SENT)
	case from == abi.DeliveryStatus_FAILED:
		return to == abi.DeliveryStatus_DELIVERED || to == abi.DeliveryStatus_READ
	default:
		return slices.Index(statusOrder, to) > position
	}
}
