//! The rules that this crate's own sources keep, and proof that the rules notice what they forbid.

#[path = "../../tidy/crate_rules.rs"]
mod crate_rules;

use crate_rules::contents::first_foreign_item;
use crate_rules::imports::Modules;
use crate_rules::order::Order;
use crate_rules::scan::{code_only, inner_paths};

const ARCHITECTURE: &str = "\
Some text.

```text order sample
wire/       pure, bytes to frames
  kind  frame
  sub/{one,two}
error       what can go wrong
client/     one side
  pool
server/     the other
  accept
```
";

fn problems(file: &str, source: &str) -> String {
    let mut modules = Modules::default();
    for (file, source) in [
        (
            "lib.rs",
            "pub mod wire; mod error; pub mod client; pub mod server; pub use error::Error;",
        ),
        (
            "wire/mod.rs",
            "mod kind; mod frame; pub mod sub; pub use frame::{Frame, MAX as LIMIT}; pub use kind::Kind;",
        ),
        ("wire/kind.rs", ""),
        ("wire/frame.rs", "use super::Kind;"),
        ("wire/sub/mod.rs", "mod one; mod two; pub use two::Two;"),
        ("wire/sub/one.rs", "use crate::wire::Frame;"),
        (
            "wire/sub/two.rs",
            "use super::super::{Kind, Frame}; use super::one;",
        ),
        ("error.rs", "use crate::wire::{self, sub::Two};"),
        ("client/mod.rs", "mod pool;"),
        ("client/pool.rs", "use crate::{Error, wire::LIMIT};"),
        ("server/mod.rs", "mod accept;"),
        (
            "server/accept.rs",
            "fn f() -> crate::Error { crate::wire::Kind::new() }",
        ),
    ] {
        modules.add(file, source);
    }
    modules.add(file, source);
    let order = Order::read(ARCHITECTURE, "sample").expect("the sample has an order");
    modules.problems(&order).join("; ")
}

#[test]
fn imports_in_order_pass() {
    assert_eq!(problems("error.rs", ""), "");
    assert_eq!(
        problems("wire/kind_tests.rs", "use crate::client::pool;"),
        ""
    );
    assert_eq!(
        problems("error.rs", "pub(crate) fn f() {} // crate::client::pool"),
        ""
    );
    assert_eq!(
        problems("error.rs", "const S: &str = \"crate::client::pool\";"),
        ""
    );
}

#[test]
fn imports_against_the_order_are_found() {
    for (file, source, expected) in [
        (
            "wire/kind.rs",
            "use super::Frame;",
            "wire/kind.rs, line 1: wire/frame comes later",
        ),
        (
            "wire/kind.rs",
            "\nuse super::LIMIT as L;",
            "wire/kind.rs, line 2: wire/frame comes later",
        ),
        (
            "wire/kind.rs",
            "use super::{\n  sub::Two,\n};",
            "wire/kind.rs, line 2: wire/sub/two comes later",
        ),
        (
            "wire/kind.rs",
            "fn f(_: crate::Error) {}",
            "wire/kind.rs, line 1: error comes later",
        ),
        (
            "wire/sub/one.rs",
            "use super::two::Two;",
            "wire/sub/one.rs, line 1: wire/sub/two comes later",
        ),
        (
            "wire/kind.rs",
            "use super::*;",
            "wire/kind.rs, line 1: `*` hides",
        ),
        (
            "server/accept.rs",
            "use crate::client::pool::Pool;",
            "client and server import each other",
        ),
        (
            "client/pool.rs",
            "use crate::server::accept;",
            "client and server import each other",
        ),
        ("wire/other.rs", "", "wire/other has no place"),
    ] {
        let found = problems(file, source);
        assert!(found.contains(expected), "{file}: {source}: {found:?}");
        assert!(!found.contains("; "), "{file}: {source}: {found:?}");
    }
}

#[test]
fn a_file_that_is_gone_is_found() {
    let order = Order::read(ARCHITECTURE, "sample").expect("the sample has an order");
    assert_eq!(order.pure, ["wire"]);
    assert_eq!(order.rank("wire/sub"), Some(3));
    let found = Modules::default().problems(&order).join("; ");
    assert!(
        found.contains("lists wire/sub/one, which does not exist"),
        "{found}"
    );
    assert_eq!(Order::read(ARCHITECTURE, "other"), None);
}

#[test]
fn comments_and_literals_are_no_code() {
    let source = r##"a /* b /* c */ d */ "e\"f" 'g' '\'' r#"h"i"# b"j" x'k // l
        m"##;
    let code = code_only(source);
    assert_eq!(code.split_whitespace().collect::<String>(), "abx'km");
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn paths_are_read_out_of_trees() {
    let paths = |code: &str| -> Vec<String> {
        let found = inner_paths(code).into_iter();
        found
            .map(|import| format!("{}={}", import.path.join("."), import.name))
            .collect()
    };
    assert_eq!(
        paths("use crate::a::{self, b::{C, D as E}, f::*};"),
        [
            "crate.a=a",
            "crate.a.b.C=C",
            "crate.a.b.D=E",
            "crate.a.f.*=*"
        ]
    );
    assert_eq!(
        paths("pub(in crate::a) fn f(_: super::super::B<crate::C>) {}"),
        ["crate.C=C", "super.super.B=B"]
    );
    assert!(paths("pub(crate) use $crate::a; my_crate::b; supervisor::c").is_empty());
}

#[test]
fn tables_of_contents_hold_nothing_else() {
    for fine in [
        "",
        "#![doc = include_str!()] mod a; pub mod b; pub(crate) use a::{B, c}; #[cfg(test)] mod d;",
        "macro_rules! m { () => { fn f() {} } } pub mod g { generated::include!(\"x\"); }",
        "pub(in crate::a) use b::C;",
    ] {
        assert_eq!(first_foreign_item(fine), None, "{fine}");
    }
    for (code, item) in [
        ("mod a; fn f() {} use b;", "fn f()"),
        ("pub const A: u8 = 1;", "pub const A: u8 = 1"),
        ("pub mod a { pub struct B; }", "pub mod a"),
        ("impl A for B {}", "impl A for B"),
    ] {
        assert_eq!(first_foreign_item(code).as_deref(), Some(item), "{code}");
    }
}
