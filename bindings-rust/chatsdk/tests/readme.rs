//! What the README advises.

const README: &str = include_str!("../../README.md");
const WORKSPACE: &str = include_str!("../../Cargo.toml");

/// Package and level of each `package.opt-level = level` in the README's lines for a development profile.
fn advised() -> Vec<(&'static str, &'static str)> {
    let lines = README.split_once("[profile.dev.package]\n").expect("the lines for Cargo.toml").1;
    let lines = lines.split_once("```").expect("their end").0.lines();
    lines.map(|line| line.split_once(".opt-level = ").unwrap_or_else(|| panic!("{line}"))).collect()
}

/// Without them the first start of a program that is not optimised takes ten times as long, and each with a passphrase too.
#[test]
fn u1_the_readme_gives_the_lines_for_a_development_profile_that_this_workspace_has_itself() {
    let compiler_and_hash = WORKSPACE.split_once("# So are the prover's parts.").expect("the other lines").0;
    let expected: Vec<_> = compiler_and_hash
        .split("[profile.dev.package.")
        .skip(1)
        .filter_map(|section| section.split_once("]\nopt-level = "))
        .map(|(package, level)| (package, level.lines().next().unwrap_or_default()))
        .collect();
    let mut advised = advised();
    advised.sort_unstable();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert!(sorted.len() > 5, "{sorted:?}");
    assert_eq!(advised, sorted);
}
