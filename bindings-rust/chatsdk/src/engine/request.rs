//! What a call of the application may weigh.

use crate::abi::{MAXIMUM_LENGTH, input};
use crate::error::{Error, ErrorCode, Result};

/// Of time and entropy, which an input has beside the call.
const OTHER_FIELDS: usize = 64;

/// Refuses a call that no core can be asked, before it waits for its turn and is copied for the module. The core itself refuses contents
/// that are far smaller.
pub(super) fn check_length(input: &input::Input) -> Result<()> {
    let length = input.encoded_len();
    let most = MAXIMUM_LENGTH - OTHER_FIELDS;
    if length <= most {
        return Ok(());
    }
    let content = match input {
        input::Input::SendMessage(request) => request.content.as_ref(),
        input::Input::AcceptInvite(request) => request.content.as_ref(),
        _ => None,
    };
    let payload = content.map_or(0, |content| content.payload.len());
    // Without it the call would be small enough.
    if payload > 0 && length - payload <= most {
        let message = format!("content.payload: {payload} bytes; send an attachment reference");
        return Err(Error::new(ErrorCode::ContentTooLarge, message));
    }
    let message = format!("arguments: {length} bytes are too many; give at most {most}");
    Err(Error::new(ErrorCode::InvalidArgument, message))
}
