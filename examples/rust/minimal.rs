// Private chat: `minimal alice` prints an invite link, `minimal bob LINK` accepts it. Then type.
use chatsdk::{Client, Event, Options, StorageKey};
use futures::StreamExt;
#[tokio::main]
async fn main() -> chatsdk::Result<()> {
    let path = std::env::args().nth(1).unwrap_or("alice".into()) + ".db";
    let node = std::env::var("WAKU_NODE").unwrap_or("/ip4/127.0.0.1/tcp/24201/ws".into()); // or a local node
    let chat = Client::open(Options::new(path, StorageKey::Unprotected).peers([node])).await?;
    let me = chat.default_account().await?;
    match (std::env::args().nth(2), chat.conversations().await?.is_empty()) {
        (Some(link), true) => drop(chat.accept_invite(&me.id, &link, "Hello!").await?),
        (None, true) => println!("Share this link: {}", chat.create_invite(&me.id, Default::default()).await?.link),
        _ => {}
    }
    tokio::spawn(chat.events().for_each(async |event| match event {
        Event::MessageReceived { message, .. } => println!("< {}", message.text.unwrap_or_default()),
        Event::MessageStatusChanged { status, .. } => println!("  ✓ {status:?}"),
        _ => {}
    }));
    for line in std::io::stdin().lines().map_while(Result::ok).filter(|line| !line.is_empty()) {
        let Some(talk) = chat.conversations().await?.into_iter().next() else { continue };
        chat.send(&talk.id, line).await?;
    }
    chat.close().await
}
