//! `Crypto` of core/src/crypto/crypto.ts, method for method: the same bytes, `undefined` and RangeErrors as the
//! reference provider, which core/src/crypto/noble.ts is.

mod aead;
mod ed25519;
mod hashes;
mod ml_kem_768;
mod x25519;

pub use hashes::keccak256;
use javy_plugin_api::javy::quickjs::{Ctx, Object, Result, prelude::Func};

pub fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let crypto = Object::new(ctx.clone())?;
    crypto.set("sha256", Func::from(hashes::sha256))?;
    crypto.set("hmacSha256", Func::from(hashes::hmac_sha256))?;
    crypto.set("hkdfSha256", Func::from(hashes::hkdf_sha256))?;
    crypto.set("x25519PublicKey", Func::from(x25519::public_key))?;
    crypto.set("x25519", Func::from(x25519::agree))?;
    crypto.set("ed25519PublicKey", Func::from(ed25519::public_key))?;
    crypto.set("ed25519Sign", Func::from(ed25519::sign))?;
    crypto.set("ed25519Verify", Func::from(ed25519::verify))?;
    crypto.set("ed25519PublicToX25519", Func::from(ed25519::public_to_x25519))?;
    crypto.set("ed25519SeedToX25519", Func::from(ed25519::seed_to_x25519))?;
    crypto.set("aeadSeal", Func::from(aead::seal))?;
    crypto.set("aeadOpen", Func::from(aead::open))?;
    crypto.set("xaeadSeal", Func::from(aead::extended_seal))?;
    crypto.set("xaeadOpen", Func::from(aead::extended_open))?;
    crypto.set("mlKem768PublicKey", Func::from(ml_kem_768::public_key))?;
    crypto.set("mlKem768Encapsulate", Func::from(ml_kem_768::encapsulate))?;
    crypto.set("mlKem768Decapsulate", Func::from(ml_kem_768::decapsulate))?;
    Ok(crypto)
}
