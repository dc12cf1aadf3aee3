use javy_plugin_api::javy::quickjs::{Ctx, Object, Result};
use ml_kem::{
    Decapsulate, KeyExport,
    ml_kem_768::{DecapsulationKey, EncapsulationKey},
};

use crate::bytes::{Bytes, copy, exactly};

/// FIPS 203 algorithm 16.
pub fn public_key<'js>(ctx: Ctx<'js>, seed: Bytes<'js>) -> Result<Bytes<'js>> {
    copy(&ctx, decapsulation_key(&ctx, &seed)?.encapsulation_key().to_bytes())
}

/// FIPS 203 algorithm 17, with the input check of section 7.2.
pub fn encapsulate<'js>(ctx: Ctx<'js>, public_key: Bytes<'js>, entropy: Bytes<'js>) -> Result<Option<Object<'js>>> {
    let encoded = exactly::<1184>(&ctx, "ML-KEM-768 encapsulation key", &public_key)?;
    let entropy = exactly::<32>(&ctx, "ML-KEM-768 entropy", &entropy)?;
    let Ok(key) = EncapsulationKey::new(encoded.into()) else {
        return Ok(None);
    };
    let (ciphertext, shared_secret) = key.encapsulate_deterministic(entropy.into());
    let encapsulated = Object::new(ctx.clone())?;
    encapsulated.set("ciphertext", copy(&ctx, ciphertext)?)?;
    encapsulated.set("sharedSecret", copy(&ctx, shared_secret)?)?;
    Ok(Some(encapsulated))
}

/// FIPS 203 algorithm 18; the expanded key is rebuilt each time, so only the seed is ever stored.
pub fn decapsulate<'js>(ctx: Ctx<'js>, seed: Bytes<'js>, ciphertext: Bytes<'js>) -> Result<Bytes<'js>> {
    let key = decapsulation_key(&ctx, &seed)?;
    let ciphertext = exactly::<1088>(&ctx, "ML-KEM-768 ciphertext", &ciphertext)?;
    copy(&ctx, key.decapsulate(ciphertext.into()))
}

fn decapsulation_key(ctx: &Ctx<'_>, seed: &Bytes<'_>) -> Result<DecapsulationKey> {
    Ok(DecapsulationKey::from_seed((*exactly::<64>(ctx, "ML-KEM-768 seed", seed)?).into()))
}
