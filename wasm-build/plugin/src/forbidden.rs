use javy_plugin_api::javy::quickjs::{Ctx, Exception, Object, Result, prelude::Func};

/// Time and randomness come with each input and from nowhere else. There is no `Date` at all.
pub fn replace(ctx: &Ctx<'_>) -> Result<()> {
    let globals = ctx.globals();
    globals.get::<_, Object>("Math")?.set("random", Func::from(no_randomness))?;
    let crypto = Object::new(ctx.clone())?;
    crypto.set("getRandomValues", Func::from(no_randomness))?;
    globals.set("crypto", crypto)?;
    // Javy's version writes into a copy of the target.
    globals.get::<_, Object>("TextEncoder")?.get::<_, Object>("prototype")?.remove("encodeInto")
}

fn no_randomness(ctx: Ctx<'_>) -> Result<()> {
    Err(Exception::throw_message(&ctx, "no randomness here: entropy comes with each input"))
}
