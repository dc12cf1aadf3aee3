//! The membership of a network with RLN, from the files that `open` names.

use chatsdk::Options;
use chatsdk_json::{Failure, Outcome, Parameters};
use chatsdk_rln::RlnMembership;

/// The options of a member.
pub fn with_membership(options: Options, rln: &Parameters) -> Outcome<Options> {
    let read = |name: &str, path: &str| {
        std::fs::read(path).map_err(|error| Failure::request(format!("rln.{name}: {path}: {error}")))
    };
    let group = String::from_utf8(read("groupFile", rln.text("groupFile")?)?);
    let group = group.map_err(|_| Failure::request("rln.groupFile: no UTF-8"))?;
    let mut membership = RlnMembership::new(&group)?;
    if let Some(path) = rln.optional_text("credentialsFile")? {
        membership = membership.credentials(read("credentialsFile", path)?)?;
    }
    Ok(options.rln(membership))
}
