use super::*;

const PASSPHRASE: &str = "correct horse battery staple";

fn argon(memory_kib: u32, passes: u32, lanes: u32) -> KeyDerivation {
    with_salt((0..16).collect(), memory_kib, passes, lanes)
}

fn with_salt(salt: Vec<u8>, memory_kib: u32, passes: u32, lanes: u32) -> KeyDerivation {
    KeyDerivation { derivation: Some(Derivation::Argon2id(Argon2id { salt, memory_kib, passes, lanes })) }
}

#[test]
fn f7_a_fixed_vector_for_our_parameters_the_same_in_every_language() {
    let key = derive_key(&StorageKey::passphrase(PASSPHRASE), &argon(65_536, 3, 4)).unwrap();
    assert_eq!(hex::encode(*key), "853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e");
}

#[test]
fn f7_parameters_out_of_bounds_come_from_a_hostile_file_and_are_refused_at_once() {
    let good: Vec<u8> = (0..16).collect();
    let bad = [
        ("memory_kib", argon(1_048_577, 1, 1)),
        ("memory_kib", argon(u32::MAX, 1, 1)),
        ("memory_kib", argon(7, 1, 1)),
        ("memory_kib", argon(0, 1, 1)),
        ("memory_kib", argon(64, 1, 9)),
        ("passes", argon(64, 17, 1)),
        ("passes", argon(64, 0, 1)),
        ("lanes", argon(1024, 1, 17)),
        ("lanes", argon(1024, 1, 0)),
        ("lanes", argon(1024, 1, u32::MAX)),
        ("salt", with_salt(good[..15].to_vec(), 64, 1, 1)),
        ("salt", with_salt(Vec::new(), 64, 1, 1)),
        ("salt", with_salt(vec![0; 1_000_000], 64, 1, 1)),
    ];
    for (field, derivation) in bad {
        let error = derive_key(&StorageKey::passphrase("x"), &derivation).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DatabaseCorrupt);
        assert!(error.message().contains(&format!("argon2id.{field}")), "{error}");
    }
}

#[test]
fn f7_a_passphrase_is_normalised_and_every_character_counts() {
    let derivation = argon(64, 1, 1);
    let key = |text: &str| derive_key(&StorageKey::passphrase(text), &derivation).unwrap();
    assert_eq!(key("caf\u{e9}"), key("cafe\u{301}"));
    assert_ne!(key("cafe"), key("caf\u{e9}"));
    assert_ne!(key("word"), key("word "));
}

#[test]
fn f7_each_new_passphrase_database_has_a_salt_of_its_own() {
    let salt = || match new_derivation(&StorageKey::passphrase(PASSPHRASE)).unwrap().derivation {
        Some(Derivation::Argon2id(argon2id)) => {
            assert_eq!((argon2id.memory_kib, argon2id.passes, argon2id.lanes), (65_536, 3, 4));
            argon2id.salt
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(salt().len(), 16);
    assert_ne!(salt(), salt());
}

#[test]
fn f7_a_key_of_another_kind_is_refused_and_the_message_names_the_kind_needed() {
    let entry = || Derivation::Keyring(Keyring { service: "app".into(), account: "a".into() });
    let databases = [
        (KeyDerivation { derivation: Some(Derivation::Unprotected(Unprotected {})) }, "Unprotected"),
        (KeyDerivation { derivation: Some(Derivation::RawKey(RawKey {})) }, "Raw"),
        (argon(64, 1, 1), "Passphrase"),
        (KeyDerivation { derivation: Some(entry()) }, "Keyring"),
    ];
    let keys = [
        StorageKey::Unprotected,
        StorageKey::Raw([1; 32]),
        StorageKey::passphrase("x"),
        StorageKey::keyring("app", "b"),
    ];
    for (place, (derivation, needed)) in databases.iter().enumerate() {
        for (_, key) in keys.iter().enumerate().filter(|&(index, _)| index != place) {
            let error = derive_key(key, derivation).unwrap_err();
            assert_eq!(error.code(), ErrorCode::WrongKey);
            assert!(error.message().contains(needed), "{error}");
        }
    }
    let error = derive_key(&keys[3], &databases[3].0).unwrap_err();
    assert_eq!(error.code(), ErrorCode::WrongKey, "another entry than the database's: {error}");
    let unknown = derive_key(&keys[0], &KeyDerivation { derivation: None }).unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::UnsupportedVersion);
}

#[test]
fn f7_malformed_keys_are_refused() {
    for key in [StorageKey::passphrase(""), StorageKey::keyring("", "a"), StorageKey::keyring("a", "")] {
        assert_eq!(new_derivation(&key).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}

#[test]
fn f7_debug_output_never_holds_a_key() {
    for key in [StorageKey::passphrase("secret"), StorageKey::Raw([0x5e; 32])] {
        let text = format!("{key:?}");
        assert!(!text.contains("secret") && !text.contains("94"), "{text}");
    }
}

#[cfg(feature = "keyring")]
#[test]
fn f7_without_a_key_store_the_error_says_what_to_do() {
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some() {
        eprintln!("skipped: this session has a key store");
        return;
    }
    let error = new_derivation(&StorageKey::keyring("chatsdk-test", "none")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::KeyringUnavailable);
    assert!(error.message().contains("passphrase"), "{error}");
}
