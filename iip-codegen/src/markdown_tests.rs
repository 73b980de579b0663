use crate::markdown::clean;

#[track_caller]
fn assert_clean(comment: &str, expected: &[&str]) {
    assert_eq!(clean(comment), expected);
}

#[test]
fn indentation_that_all_lines_have_goes() {
    assert_clean(" a\n  b\n", &["a", "b"]);
    assert_clean("\n\n  a\n\n  b\n\n", &["a", "", "b"]);
    assert_clean("", &[]);
    assert_clean("  \n \n", &[]);
    assert_clean("/ a\n/ b\n", &["a", "b"]);
}

#[test]
fn indented_code_is_fenced_as_text() {
    assert_clean(
        " a\n\n     code()\n\n       more\n\n b",
        &["a", "", "```text", "code()", "", "  more", "```", "", "b"],
    );
    assert_clean(
        " a\n\n     ```\n     code()",
        &["a", "", "````text", "```", "code()", "````"],
    );
    // Without an empty line before it, it is the same paragraph.
    assert_clean(" a\n      b", &["a", "b"]);
}

#[test]
fn fences_never_hold_a_test() {
    for info in [
        "",
        "rust",
        "ignore",
        "no_run",
        "should_panic",
        "rust,no_run",
        "edition2021",
        "{.rust}",
        "E0277",
    ] {
        assert_clean(
            &format!("```{info}\ncode\n```\nafter [x]"),
            &["```text", "code", "```", r"after \[x\]"],
        );
    }
    assert_clean("~~~ json x\n[1]\n~~~", &["~~~json", "[1]", "~~~"]);
    assert_clean("```\nopen\n\n", &["```text", "open", "```"]);
    assert_clean(
        "````\n```\n````\n[a]",
        &["````text", "```", "````", r"\[a\]"],
    );
    assert_clean("```[code]``` inline", &["```[code]``` inline"]);
}

#[test]
fn brackets_and_tags_are_only_text() {
    assert_clean(
        "a [b] <c> [d][e.F] [g](h)",
        &[r"a \[b\] \<c> \[d\]\[e.F\] \[g\](h)"],
    );
    assert_clean(
        "`a[0] <b>` ``x`[1]`` `open [2]",
        &[r"`a[0] <b>` ``x`[1]`` `open \[2\]"],
    );
    assert_clean(r"\[already\] \", &[r"\[already\] \"]);
}

#[test]
fn addresses_become_links() {
    assert_clean("See https://a.b/c.", &["See <https://a.b/c>."]);
    assert_clean(
        "(https://a.b/c) http://d",
        &["(<https://a.b/c>) <http://d>"],
    );
    assert_clean(
        "<https://a.b> [t](https://a.b)",
        &["<https://a.b> [t](https://a.b)"],
    );
    assert_clean("`https://a.b` http:// x", &["`https://a.b` http:// x"]);
    assert_clean(
        "[t](https://a.b \"title\")",
        &[r#"\[t\](<https://a.b> "title")"#],
    );
}

#[test]
fn lists_are_indented_as_clippy_wants() {
    assert_clean("- a\nb\n     c\n- d", &["- a", "  b", "  c", "- d"]);
    assert_clean("10. a\nb", &["10. a", "    b"]);
    assert_clean("- a\n\n  b\n\nc", &["- a", "", "  b", "", "c"]);
    assert_clean("- a\n\n          b", &["- a", "", "  b"]);
    assert_clean("- a\n  - b\n    c", &["- a", "  - b", "    c"]);
    assert_clean("> a\nb\n\nc", &["> a", "> b", "", "c"]);
}
