use curve25519_dalek::{edwards::CompressedEdwardsY, scalar::clamp_integer};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use javy_plugin_api::javy::quickjs::{Ctx, Result};
use zeroize::Zeroizing;

use crate::bytes::{Bytes, copy, exactly, view};

/// RFC 8032 section 5.1.5.
pub fn public_key<'js>(ctx: Ctx<'js>, seed: Bytes<'js>) -> Result<Bytes<'js>> {
    copy(&ctx, signing_key(&ctx, &seed)?.verifying_key())
}

/// RFC 8032 section 5.1.6.
pub fn sign<'js>(ctx: Ctx<'js>, seed: Bytes<'js>, message: Bytes<'js>) -> Result<Bytes<'js>> {
    copy(&ctx, signing_key(&ctx, &seed)?.sign(view(&message)?).to_bytes())
}

/// RFC 8032 section 5.1.7 without the cofactor, and neither the key nor R of small order.
pub fn verify<'js>(public_key: Bytes<'js>, message: Bytes<'js>, signature: Bytes<'js>) -> Result<bool> {
    let verified = || {
        let key = decode_key(view(&public_key).ok()?.try_into().ok()?)?;
        let signature = Signature::from_slice(view(&signature).ok()?).ok()?;
        key.verify_strict(view(&message).ok()?, &signature).ok()
    };
    Ok(verified().is_some())
}

/// RFC 7748 section 4.1, the birational map u = (1 + y) / (1 - y), after decoding by RFC 8032 section 5.1.3.
pub fn public_to_x25519<'js>(ctx: Ctx<'js>, public_key: Bytes<'js>) -> Result<Option<Bytes<'js>>> {
    match decode_key(exactly(&ctx, "Ed25519 public key", &public_key)?) {
        Some(key) if !key.is_weak() => copy(&ctx, key.to_montgomery().to_bytes()).map(Some),
        _ => Ok(None),
    }
}

/// RFC 8032 section 5.1.5 steps 1 and 2: the hashed and clamped scalar is the X25519 secret.
pub fn seed_to_x25519<'js>(ctx: Ctx<'js>, seed: Bytes<'js>) -> Result<Bytes<'js>> {
    let scalar = Zeroizing::new(signing_key(&ctx, &seed)?.to_scalar_bytes());
    copy(&ctx, Zeroizing::new(clamp_integer(*scalar)).as_slice())
}

fn signing_key(ctx: &Ctx<'_>, seed: &Bytes<'_>) -> Result<SigningKey> {
    Ok(SigningKey::from_bytes(exactly(ctx, "Ed25519 seed", seed)?))
}

/// RFC 8032 section 5.1.3. The library also takes encodings that are not canonical: those of y + p, and of x = 0 with a sign.
fn decode_key(encoded: &[u8; 32]) -> Option<VerifyingKey> {
    let point = CompressedEdwardsY(*encoded).decompress()?;
    (point.compress().as_bytes() == encoded).then(|| VerifyingKey::from(point))
}
