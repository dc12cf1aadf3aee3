use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use javy_plugin_api::javy::quickjs::{Ctx, Exception, Result};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::bytes::{Bytes, copy, view};

const HKDF_MAXIMUM_LENGTH: usize = 255 * 32;

/// FIPS 180-4 section 6.2.
pub fn sha256<'js>(ctx: Ctx<'js>, data: Bytes<'js>) -> Result<Bytes<'js>> {
    copy(&ctx, Sha256::digest(view(&data)?))
}

/// Keccak-256 as Ethereum uses it, before FIPS 202 changed the padding. Not part of `Crypto`: the SDS and segmentation
/// formats name entities by it.
pub fn keccak256<'js>(ctx: Ctx<'js>, data: Bytes<'js>) -> Result<Bytes<'js>> {
    copy(&ctx, <sha3::Keccak256 as sha3::Digest>::digest(view(&data)?))
}

/// RFC 2104 section 2.
pub fn hmac_sha256<'js>(ctx: Ctx<'js>, key: Bytes<'js>, data: Bytes<'js>) -> Result<Bytes<'js>> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(view(&key)?).expect("keys of any length are taken");
    mac.update(view(&data)?);
    copy(&ctx, mac.finalize().into_bytes())
}

/// RFC 5869 sections 2.2 and 2.3.
pub fn hkdf_sha256<'js>(
    ctx: Ctx<'js>,
    input_key_material: Bytes<'js>,
    salt: Bytes<'js>,
    info: Bytes<'js>,
    length: f64,
) -> Result<Bytes<'js>> {
    let mut output = Zeroizing::new(vec![0; output_length(&ctx, length)?]);
    Hkdf::<Sha256>::new(Some(view(&salt)?), view(&input_key_material)?)
        .expand(view(&info)?, &mut output)
        .expect("the length was checked");
    copy(&ctx, &output)
}

fn output_length(ctx: &Ctx<'_>, length: f64) -> Result<usize> {
    if length.fract() == 0.0 && (0.0..=HKDF_MAXIMUM_LENGTH as f64).contains(&length) {
        return Ok(length as usize);
    }
    Err(Exception::throw_range(
        ctx,
        &format!("HKDF-SHA-256 output: expected 0 to {HKDF_MAXIMUM_LENGTH} bytes, got {length}"),
    ))
}
