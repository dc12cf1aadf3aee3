use javy_plugin_api::javy::quickjs::{Ctx, Result};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::bytes::{Bytes, copy, exactly};

/// RFC 7748 section 6.1.
pub fn public_key<'js>(ctx: Ctx<'js>, secret_key: Bytes<'js>) -> Result<Bytes<'js>> {
    copy(&ctx, PublicKey::from(&secret(&ctx, &secret_key)?))
}

/// RFC 7748 section 5, with the all-zero check of section 6.1.
pub fn agree<'js>(ctx: Ctx<'js>, secret_key: Bytes<'js>, public_key: Bytes<'js>) -> Result<Option<Bytes<'js>>> {
    let secret = secret(&ctx, &secret_key)?;
    let public = PublicKey::from(*exactly(&ctx, "X25519 public key", &public_key)?);
    let shared = secret.diffie_hellman(&public);
    if !shared.was_contributory() {
        return Ok(None);
    }
    copy(&ctx, shared).map(Some)
}

fn secret(ctx: &Ctx<'_>, secret_key: &Bytes<'_>) -> Result<StaticSecret> {
    Ok(StaticSecret::from(*exactly::<32>(ctx, "X25519 secret key", secret_key)?))
}
