use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce, XChaCha20Poly1305, XNonce,
    aead::{self, Aead, Payload},
};
use javy_plugin_api::javy::quickjs::{Ctx, Exception, Result};
use zeroize::Zeroizing;

use crate::bytes::{Bytes, copy, exactly, view};

/// RFC 8439 section 2.8.
pub fn seal<'js>(
    ctx: Ctx<'js>,
    key: Bytes<'js>,
    nonce: Bytes<'js>,
    plaintext: Bytes<'js>,
    associated_data: Bytes<'js>,
) -> Result<Bytes<'js>> {
    let cipher = ChaCha20Poly1305::new(Key::from_slice(exactly::<32>(&ctx, "ChaCha20-Poly1305 key", &key)?));
    let nonce = Nonce::from_slice(exactly::<12>(&ctx, "ChaCha20-Poly1305 nonce", &nonce)?);
    encrypt(&ctx, &cipher, nonce, &plaintext, &associated_data)
}

/// RFC 8439 section 2.8; anything shorter than a tag cannot verify.
pub fn open<'js>(
    ctx: Ctx<'js>,
    key: Bytes<'js>,
    nonce: Bytes<'js>,
    ciphertext: Bytes<'js>,
    associated_data: Bytes<'js>,
) -> Result<Option<Bytes<'js>>> {
    let cipher = ChaCha20Poly1305::new(Key::from_slice(exactly::<32>(&ctx, "ChaCha20-Poly1305 key", &key)?));
    let nonce = Nonce::from_slice(exactly::<12>(&ctx, "ChaCha20-Poly1305 nonce", &nonce)?);
    decrypt(&ctx, &cipher, nonce, &ciphertext, &associated_data)
}

/// draft-irtf-cfrg-xchacha-03 section 2.
pub fn extended_seal<'js>(
    ctx: Ctx<'js>,
    key: Bytes<'js>,
    nonce: Bytes<'js>,
    plaintext: Bytes<'js>,
    associated_data: Bytes<'js>,
) -> Result<Bytes<'js>> {
    let cipher = XChaCha20Poly1305::new(Key::from_slice(exactly::<32>(&ctx, "XChaCha20-Poly1305 key", &key)?));
    let nonce = XNonce::from_slice(exactly::<24>(&ctx, "XChaCha20-Poly1305 nonce", &nonce)?);
    encrypt(&ctx, &cipher, nonce, &plaintext, &associated_data)
}

/// draft-irtf-cfrg-xchacha-03 section 2; anything shorter than a tag cannot verify.
pub fn extended_open<'js>(
    ctx: Ctx<'js>,
    key: Bytes<'js>,
    nonce: Bytes<'js>,
    ciphertext: Bytes<'js>,
    associated_data: Bytes<'js>,
) -> Result<Option<Bytes<'js>>> {
    let cipher = XChaCha20Poly1305::new(Key::from_slice(exactly::<32>(&ctx, "XChaCha20-Poly1305 key", &key)?));
    let nonce = XNonce::from_slice(exactly::<24>(&ctx, "XChaCha20-Poly1305 nonce", &nonce)?);
    decrypt(&ctx, &cipher, nonce, &ciphertext, &associated_data)
}

fn encrypt<'js, Cipher: Aead>(
    ctx: &Ctx<'js>,
    cipher: &Cipher,
    nonce: &aead::Nonce<Cipher>,
    plaintext: &Bytes<'js>,
    associated_data: &Bytes<'js>,
) -> Result<Bytes<'js>> {
    let payload = Payload { msg: view(plaintext)?, aad: view(associated_data)? };
    match cipher.encrypt(nonce, payload) {
        Ok(ciphertext) => copy(ctx, ciphertext),
        Err(_) => Err(Exception::throw_range(ctx, "plaintext: longer than the cipher can seal")),
    }
}

fn decrypt<'js, Cipher: Aead>(
    ctx: &Ctx<'js>,
    cipher: &Cipher,
    nonce: &aead::Nonce<Cipher>,
    ciphertext: &Bytes<'js>,
    associated_data: &Bytes<'js>,
) -> Result<Option<Bytes<'js>>> {
    let payload = Payload { msg: view(ciphertext)?, aad: view(associated_data)? };
    match cipher.decrypt(nonce, payload) {
        Ok(plaintext) => copy(ctx, Zeroizing::new(plaintext).as_slice()).map(Some),
        Err(_) => Ok(None),
    }
}
