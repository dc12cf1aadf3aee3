//! Prints `testdata/vectors.json`: the values that every language must compute, and one proof.

use chat_rln::{Group, Identity, Member, ProofRequest, external_nullifier, prove};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = b"the second of three members, made of at least 32 bytes";
    let author = Identity::from_seed(seed);
    let other = |name: &[u8]| Identity::from_seed(name).commitment();
    let members = vec![
        Member { commitment: other(b"the first of three members, made of at least 32 bytes"), message_limit: 1 },
        Member { commitment: author.commitment(), message_limit: 100 },
        Member { commitment: other(b"the third of three members, made of at least 32 bytes"), message_limit: 65535 },
    ];
    let group = Group::new(members)?;

    let mut rln_identifier = [0; 32];
    rln_identifier[..8].copy_from_slice(b"rln.test");
    let epoch_number: u64 = 2_941_234;
    let mut epoch = [0; 32];
    epoch[..8].copy_from_slice(&epoch_number.to_le_bytes());
    let external_nullifier = external_nullifier(&epoch, &rln_identifier);

    let (payload, content_topic) = (b"payload".as_slice(), "/test/1/rln/proto");
    let timestamp_ns = epoch_number * 600 * 1_000_000_000 + 123_456_789;
    let signal = [payload, content_topic.as_bytes(), &timestamp_ns.to_le_bytes()].concat();
    let request =
        ProofRequest { identity: &author, leaf: 1, message_id: 99, external_nullifier: &external_nullifier, signal: &signal };
    let proof = prove(&group, &request)?;

    let member = |member: &Member| serde_json::json!({ "identityCommitment": hex(&member.commitment), "userMessageLimit": member.message_limit });
    let vectors = serde_json::json!({
        "seed": hex(seed),
        "identitySecret": hex(author.secret().as_slice()),
        "identityCommitment": hex(&author.commitment()),
        "leafIndex": 1,
        "messageId": 99,
        "rlnIdentifier": hex(&rln_identifier),
        "epochSeconds": 600,
        "members": group.members().iter().map(member).collect::<Vec<_>>(),
        "merkleRoot": hex(&group.root()),
        "epochNumber": epoch_number,
        "epoch": hex(&epoch),
        "externalNullifier": hex(&external_nullifier),
        "payload": hex(payload),
        "contentTopic": content_topic,
        "timestampNs": timestamp_ns.to_string(),
        "signal": hex(&signal),
        "proof": hex(&proof),
    });
    println!("{}", serde_json::to_string_pretty(&vectors)?);
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
